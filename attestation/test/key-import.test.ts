// When the keys of a document are imported, and what becomes of one that is no key.

import { beforeAll, expect, test } from 'vitest'
import { createVerifier, verifyAttestation, type VerifierOptions } from '../src/index.ts'
import { parseCertificate } from '../src/x509/index.ts'
import { expectCode } from './expect-error.ts'
import { issue, signCertificate, type Identity } from './issuer/authority.ts'
import { chipShape, makeChain, makeDocument, NOW_MS, type Chain } from './issuer/document.ts'

let chain: Chain
let options: VerifierOptions

beforeAll(async () => {
  chain = await makeChain()
  options = { roots: [chain.root.certificate], at: new Date(NOW_MS) }
})

/** The leaf with a public key off the curve, signed all the same. */
async function leafOffTheCurve(issuer: Identity): Promise<Identity> {
  const certificate = chain.leaf.certificate.slice()
  const { tbs, publicKey } = parseCertificate(certificate)
  publicKey[96] = (publicKey[96] ?? 0) ^ 1
  return { ...chain.leaf, certificate: await signCertificate(tbs.slice(), issuer.keys) }
}

test('all keys are imported before the first signature is verified, and none twice', async () => {
  const calls: string[] = []
  const { subtle } = globalThis.crypto
  const recording = {
    digest: subtle.digest.bind(subtle),
    importKey: (...point: Parameters<typeof subtle.importKey>) => {
      calls.push('import')
      return subtle.importKey(...point)
    },
    verify: (...signed: Parameters<typeof subtle.verify>) => {
      calls.push('verify')
      return subtle.verify(...signed)
    },
  } as unknown as NonNullable<VerifierOptions['crypto']>['subtle']
  const verifier = createVerifier({ ...options, crypto: { subtle: recording } })
  const document = await makeDocument(chain)
  await verifier.verify(document)
  expect(calls).toEqual(['import', 'import', 'import', 'verify', 'verify', 'verify'])
  calls.length = 0
  await verifier.verify(document)
  expect(calls).toEqual(['verify'])
})

test('a leaf key off the curve, in a chain that is right, makes the signature wrong', async () => {
  const leaf = await leafOffTheCurve(chain.chip)
  const document = await makeDocument({ ...chain, leaf })
  await expectCode(() => verifyAttestation(document, options), 'ERR_COSE_SIGNATURE')
})

test('a leaf key off the curve, in a chain that is wrong, is not what is complained of', async () => {
  const leaf = await leafOffTheCurve(await issue(chipShape()))
  const document = await makeDocument({ ...chain, leaf })
  await expectCode(() => verifyAttestation(document, options), 'ERR_CHAIN_SIGNATURE')
})
