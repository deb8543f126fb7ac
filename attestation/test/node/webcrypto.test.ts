// Another WebCrypto than the runtime's own.

import { Crypto } from '@peculiar/webcrypto'
import { expect, test } from 'vitest'
import { verifyAttestation } from '../../src/index.ts'
import { expectCode } from '../expect-error.ts'
import { encodeCbor } from '../issuer/cbor-writer.ts'
import { makeChain, makePayload, makeSign1, NOW_MS, samplePcrs } from '../issuer/document.ts'
import { makeEvidence } from '../issuer/tpm-writer.ts'

test('@peculiar/webcrypto gives the same results and refusals', async () => {
  const chain = await makeChain()
  const payload = encodeCbor(makePayload(chain))
  const evidence = await makeEvidence(payload, samplePcrs(), chain.leaf.keys)
  const shape = { unprotectedHeader: new Map([['tpm', evidence]]) }
  const document = await makeSign1(payload, chain.leaf.keys, shape)
  const options = { roots: [chain.root.certificate] as const, at: new Date(NOW_MS) }
  const other = { ...options, crypto: new Crypto() }
  expect(await verifyAttestation(document, other)).toEqual(
    await verifyAttestation(document, options),
  )
  const forged = await makeSign1(payload, chain.chip.keys, shape)
  await expectCode(() => verifyAttestation(forged, other), 'ERR_COSE_SIGNATURE')
})
