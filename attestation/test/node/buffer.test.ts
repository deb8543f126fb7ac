// Byte strings that are not alone in their memory: Node's Buffer, whose `slice` is no copy, and shared
// and detached memory.

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

test('a document in shared memory is copied before anything is checked', async () => {
  const chain = await makeChain()
  const document = await makeDocument(chain)
  const shared = new Uint8Array(new SharedArrayBuffer(document.length))
  shared.set(document)
  const verifier = createVerifier({ roots: [chain.root.certificate], at: new Date(NOW_MS) })
  const running = verifier.verify(shared)
  shared.fill(0)
  expect((await running).verified).toBe(true)
})

test('a document or a nonce whose memory was given away is a TypeError', async () => {
  const chain = await makeChain()
  const document = await makeDocument(chain, { nonce: new Uint8Array() })
  const verifier = createVerifier({ roots: [chain.root.certificate], at: new Date(NOW_MS) })
  const away = new Uint8Array(8)
  structuredClone(away, { transfer: [away.buffer] })
  await expect(verifier.verify(away)).rejects.toThrow(TypeError)
  await expect(verifier.verify(document, { nonce: away })).rejects.toThrow(TypeError)
})
