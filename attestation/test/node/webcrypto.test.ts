// Another WebCrypto than the runtime's own.

import { Crypto } from '@peculiar/webcrypto'
import { expect, test } from 'vitest'
import { nodeCrypto } from '@cloister/attestation/node-crypto'
import { createVerifier, SignatureCache, verifyAttestation } from '../../src/index.ts'
import { verifySignature } from '../../src/signature/verify-signature.ts'
import { expectCode } from '../expect-error.ts'
import { encodeCbor } from '../issuer/cbor-writer.ts'
import {
  makeChain,
  makeDocument,
  makePayload,
  makeSign1,
  NOW_MS,
  samplePcrs,
} from '../issuer/document.ts'
import { makeEvidence } from '../issuer/tpm-writer.ts'

test.each([
  ['@peculiar/webcrypto', new Crypto()],
  ['node:crypto', nodeCrypto],
])('%s gives the same results and refusals', async (_name, implementation) => {
  const chain = await makeChain()
  const payload = encodeCbor(makePayload(chain))
  const evidence = await makeEvidence(payload, samplePcrs(), chain.leaf.keys)
  const shape = { unprotectedHeader: new Map([['tpm', evidence]]) }
  const document = await makeSign1(payload, chain.leaf.keys, shape)
  const options = { roots: [chain.root.certificate] as const, at: new Date(NOW_MS) }
  const other = { ...options, crypto: implementation }
  expect(await verifyAttestation(document, other)).toEqual(
    await verifyAttestation(document, options),
  )
  const forged = await makeSign1(payload, chain.chip.keys, shape)
  await expectCode(() => verifyAttestation(forged, other), 'ERR_COSE_SIGNATURE')
})

test('verifiers with different cryptography share a cache', async () => {
  const chain = await makeChain()
  const document = await makeDocument(chain)
  const shared = { roots: [chain.root.certificate] as const, at: new Date(NOW_MS) }
  const cache = new SignatureCache()
  for (const implementation of [crypto, nodeCrypto, new Crypto(), crypto]) {
    const verifier = createVerifier({ ...shared, cache, crypto: implementation })
    expect((await verifier.verify(document)).verified).toBe(true)
  }
  expect(cache.size).toBe(2)
})

test('a point that is not on the curve is a wrong signature, whoever computes', async () => {
  const publicKey = new Uint8Array(97).fill(7)
  publicKey[0] = 4
  const signed = { publicKey, signature: new Uint8Array(96).fill(1), message: new Uint8Array(1) }
  for (const implementation of [crypto, new Crypto(), nodeCrypto]) {
    expect(await verifySignature(signed, implementation)).toBe(false)
  }
})
