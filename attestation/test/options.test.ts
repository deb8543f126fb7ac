// How a caller asks: options that are wrong, inherited or changed later, and verifiers for many
// documents.

import { beforeAll, describe, expect, test } from 'vitest'
import {
  createVerifier,
  SignatureCache,
  verifyAttestation,
  type Assurance,
  type VerifierOptions,
} from '../src/index.ts'
import { expectCode } from './expect-error.ts'
import { makeChain, makeDocument, NOW_MS, type Chain } from './issuer/document.ts'

let chain: Chain
let document: Uint8Array<ArrayBuffer>
let options: VerifierOptions

const nonce = Uint8Array.of(1, 2, 3)
const publicKey = Uint8Array.of(4)

beforeAll(async () => {
  chain = await makeChain()
  document = await makeDocument(chain, { nonce, public_key: publicKey })
  options = { roots: [chain.root.certificate], at: new Date(NOW_MS) }
})

describe('options', () => {
  const wrong: readonly [claim: string, changes: Record<string, unknown>][] = [
    ['no roots', { roots: [] }],
    ['roots that are text', { roots: ['root'] }],
    ['a misspelt option', { measurement: {} }],
    ['an expectation that is undefined by accident', { nonce: undefined }],
    ['a nonce that is text', { nonce: 'abc' }],
    ['a nonce that is null by accident', { nonce: null }],
    ['an invalid date', { at: new Date(Number.NaN) }],
    ['a number as moment', { at: NOW_MS }],
    ['no accepted assurance', { assurance: [] }],
    ['no accepted kind', { kind: [] }],
    ['an unknown kind', { kind: ['nitro-enclave', 'nitro'] }],
    ['an unknown assurance', { assurance: 'hardware' }],
    ['an assurance that is null', { assurance: null }],
    ['a truthy allowDebug', { allowDebug: 'false' }],
    ['an unknown rule for evidence', { tpmEvidence: 'ignore' }],
    ['an age limit in replay mode', { at: 'document', maxAgeMs: 1 }],
  ]
  for (const [claim, changes] of wrong) {
    test(`refuses ${claim} with a TypeError`, async () => {
      const changed = { ...options, ...changes }
      await expect(verifyAttestation(document, changed)).rejects.toThrow(TypeError)
      expect(() => createVerifier(changed)).toThrow(TypeError)
    })
  }

  test('refuses a limit that is no number with a RangeError', async () => {
    for (const limit of [-1, Number.NaN, null, '300000', [300_000]]) {
      const changed = { ...options, maxAgeMs: limit as number }
      await expect(verifyAttestation(document, changed)).rejects.toThrow(RangeError)
    }
  })

  test('refuses inherited options with a TypeError: a copy of them would check nothing', async () => {
    for (const inherited of [{ nonce }, { measurements: {} }, { misspelt: true }]) {
      const changed = Object.assign(Object.create(inherited) as VerifierOptions, options)
      await expect(verifyAttestation(document, changed)).rejects.toThrow(TypeError)
      expect(() => createVerifier(changed)).toThrow(TypeError)
    }
    class Expected {
      get nonce() {
        return Uint8Array.of(9)
      }
    }
    const verifying = createVerifier(options).verify(document, new Expected())
    await expect(verifying).rejects.toThrow(TypeError)
  })

  test('counts an option that is not enumerable', async () => {
    const hidden = { value: Uint8Array.of(9), enumerable: false }
    const changed = Object.defineProperty({ ...options }, 'nonce', hidden)
    await expectCode(() => verifyAttestation(document, changed), 'ERR_NONCE_MISMATCH')
    await expectCode(() => createVerifier(changed).verify(document), 'ERR_NONCE_MISMATCH')
    const expected = Object.defineProperty({}, 'nonce', hidden)
    await expectCode(() => createVerifier(options).verify(document, expected), 'ERR_NONCE_MISMATCH')
  })

  test('is not affected when the caller changes an option afterwards', async () => {
    const root = chain.root.certificate.slice()
    const [expected, at] = [nonce.slice(), new Date(NOW_MS)]
    const assurance: Assurance[] = ['software-tpm']
    const running = verifyAttestation(document, { ...options, nonce: expected })
    expected.fill(9)
    await running
    const wrong = createVerifier({ roots: [root], nonce: expected, at, assurance })
    expected.set(nonce)
    await expectCode(() => wrong.verify(document), 'ERR_NONCE_MISMATCH')
    const right = createVerifier({ roots: [root], at, assurance })
    root.fill(0)
    at.setTime(0)
    assurance[0] = 'aws-nitro'
    expect((await right.verify(document, { nonce })).verified).toBe(true)
  })

  test('refuses a root outside the profile with a coded error', async () => {
    const changed = { ...options, roots: [Uint8Array.of(1)] as const }
    await expectCode(() => verifyAttestation(document, changed), 'ERR_DER_INVALID')
  })
})

describe('createVerifier', () => {
  test('verifies many documents, each with its own expectations', async () => {
    const verifier = createVerifier(options)
    await verifier.verify(document, { nonce })
    await verifier.verify(document, { nonce })
    await expectCode(() => verifier.verify(document, { nonce: publicKey }), 'ERR_NONCE_MISMATCH')
    for (const wrong of [{ nonce: undefined }, { at: null }, null, 1]) {
      const verifying = verifier.verify(document, wrong as unknown as { nonce: Uint8Array })
      await expect(verifying).rejects.toThrow(TypeError)
    }
  })

  test('keeps its own expectations beside those of a call', async () => {
    const verifier = createVerifier({ ...options, publicKey: Uint8Array.of(9) })
    await expectCode(() => verifier.verify(document, { nonce }), 'ERR_PUBLIC_KEY_MISMATCH')
  })

  test('checks dates again although the certificates are remembered', async () => {
    const cache = new SignatureCache()
    const verifier = createVerifier({ ...options, cache, maxAgeMs: Infinity })
    await verifier.verify(document)
    expect(cache.size).toBe(2)
    const late = { at: new Date(NOW_MS + 4 * 3_600_000) }
    await expectCode(() => verifier.verify(document, late), 'ERR_CERTIFICATE_EXPIRED')
  })

  test('remembers nothing of a chain that failed', async () => {
    const cache = new SignatureCache()
    const verifier = createVerifier({ ...options, cache })
    const forged = await makeDocument(await makeChain())
    await expectCode(() => verifier.verify(forged), 'ERR_CHAIN_SIGNATURE')
    expect(cache.size).toBe(0)
  })

  test('keeps the cache within its bound, and still verifies', async () => {
    const cache = new SignatureCache(3)
    for (let i = 0; i < 3; i++) {
      const other = await makeChain()
      const roots = [other.root.certificate] as const
      const verifier = createVerifier({ ...options, roots, cache })
      await verifier.verify(await makeDocument(other))
      await verifier.verify(await makeDocument(other))
      expect(cache.size).toBeLessThanOrEqual(3)
    }
  })
})
