// Node's Buffer is a Uint8Array whose `slice` is no copy.

import { expect, test } from 'vitest'
import { createVerifier } from '../../src/index.ts'
import { makeChain, makeDocument, NOW_MS } from '../issuer/document.ts'

test('a root that is a Buffer may be overwritten afterwards', async () => {
  const chain = await makeChain()
  const root = Buffer.from(chain.root.certificate)
  const verifier = createVerifier({ roots: [root], at: new Date(NOW_MS) })
  root.fill(0)
  expect((await verifier.verify(await makeDocument(chain))).verified).toBe(true)
})

test('a document that is a view into a larger Buffer verifies', async () => {
  const chain = await makeChain()
  const document = await makeDocument(chain)
  const pool = Buffer.alloc(document.length + 20, 0xff)
  pool.set(document, 7)
  const verifier = createVerifier({ roots: [chain.root.certificate], at: new Date(NOW_MS) })
  const view = pool.subarray(7, 7 + document.length)
  const running = verifier.verify(view)
  pool.fill(0)
  expect((await running).verified).toBe(true)
})
