// The rules of verification: formats, roots, time. What a caller expects of a document, and options, have
// files of their own.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../src/bytes.ts'
import {
  AttestationError,
  createVerifier,
  inspectAttestation,
  verifyAttestation,
  type VerifierOptions,
} from '../src/index.ts'
import { errorOf, expectCode } from './expect-error.ts'
import { issue } from './issuer/authority.ts'
import { encodeCbor, type Encodable } from './issuer/cbor-writer.ts'
import {
  leafShape,
  makeChain,
  makeDocument,
  makePayload,
  makeSign1,
  MODULE_ID,
  NOW_MS,
  pcrHex,
  samplePcrs,
} from './issuer/document.ts'
import { chain, document, nonce, options, publicKey, verifyChanged } from './sample-document.ts'

const zero = new Uint8Array(48)

describe('verifyAttestation', () => {
  test('returns what the document says', async () => {
    const attestation = await verifyAttestation(document, options)
    expect(attestation).toMatchObject({
      verified: true,
      kind: 'nitro-enclave',
      moduleId: MODULE_ID,
      timestampMs: NOW_MS,
      debug: false,
      assurance: 'software-tpm',
      publicKey,
      nonce,
      userData: null,
      tpm: null,
    })
    expect(attestation.pcrs).toEqual(
      Object.fromEntries([...samplePcrs().keys()].map((pcr) => [pcr, pcrHex(pcr)])),
    )
    expect(attestation.certificates).toHaveLength(3)
    expect(attestation.validUntilMs).toBe(Math.floor(NOW_MS / 1000) * 1000 + 3 * 3_600_000)
  })

  test('accepts tag 18 and an indefinite-length payload map', async () => {
    const definite = encodeCbor(makePayload(chain))
    const indefinite = Uint8Array.of(0xbf, ...definite.subarray(1), 0xff)
    const keys = chain.leaf.keys
    await verifyAttestation(await makeSign1(definite, keys, { tag: 18 }), options)
    await verifyAttestation(await makeSign1(indefinite, keys), options)
  })

  test('accepts absent keys where AWS writes null, and empty user data', async () => {
    await verifyChanged({ nonce: undefined, public_key: undefined, user_data: undefined })
    expect((await verifyChanged({ user_data: new Uint8Array() })).userData).toHaveLength(0)
  })

  test('refuses a payload that is not a map', async () => {
    for (const payload of [encodeCbor([]), encodeCbor('SHA384'), encodeCbor(null)]) {
      const document = await makeSign1(payload, chain.leaf.keys)
      await expectCode(() => verifyAttestation(document, options), 'ERR_DOCUMENT_FIELD')
    }
  })

  test('accepts 1024 bytes in each optional field and refuses 1025', async () => {
    for (const field of ['nonce', 'public_key', 'user_data']) {
      await verifyChanged({ [field]: new Uint8Array(1024) })
      await expectCode(() => verifyChanged({ [field]: new Uint8Array(1025) }), 'ERR_DOCUMENT_FIELD')
    }
  })

  const fields: readonly [
    claim: string,
    changes: Readonly<Record<string, Encodable | undefined>>,
  ][] = [
    ['an unknown field', { extra: 1 }],
    ['a missing module_id', { module_id: undefined }],
    ['a missing pcrs', { pcrs: undefined }],
    ['an empty module_id', { module_id: '' }],
    ['another digest', { digest: 'SHA512' }],
    ['a timestamp of zero', { timestamp: 0 }],
    ['a negative timestamp', { timestamp: -1 }],
    ['a timestamp beyond the year 9999', { timestamp: 2n ** 63n }],
    ['no PCRs', { pcrs: new Map() }],
    ['PCR32', { pcrs: new Map([[32, zero]]) }],
    ['a PCR of 32 bytes', { pcrs: new Map([[0, new Uint8Array(32)]]) }],
    ['a PCR index that is text', { pcrs: new Map([['0', zero]]) }],
    ['an empty cabundle', { cabundle: [] }],
    ['an empty certificate', { certificate: new Uint8Array() }],
    ['a certificate of 1025 bytes', { certificate: new Uint8Array(1025) }],
    ['an empty public key', { public_key: new Uint8Array() }],
    ['a nonce that is text', { nonce: 'nonce' }],
  ]
  for (const [claim, changes] of fields) {
    test(`refuses ${claim}`, async () => {
      await expectCode(() => verifyChanged(changes), 'ERR_DOCUMENT_FIELD')
    })
  }

  test('writes no control characters of a document into messages', async () => {
    const hostile = 'x\n\u001b[2J\u0085\u2028\u202e verified'
    const labelled = { unprotectedHeader: new Map([[hostile, 1]]) }
    const leaf = await issue({ ...leafShape(), subject: { CN: hostile } }, chain.root)
    const errors = [
      await errorOf(() => verifyChanged({ [hostile]: 1 })),
      await errorOf(async () =>
        verifyAttestation(await makeDocument(chain, {}, labelled), options),
      ),
      await errorOf(() => verifyChanged({ certificate: leaf.certificate })),
    ]
    for (const { message } of errors) {
      expect(message).toContain('\\u{1b}[2J')
      expect(message).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
    }
    expect(errors[0]?.details['field']).toBe(hostile)
  })

  test('refuses a document longer than 32768 bytes', async () => {
    await expectCode(
      () => verifyAttestation(new Uint8Array(32769), options),
      'ERR_DOCUMENT_TOO_LONG',
    )
  })

  test('refuses an unknown unprotected header parameter', async () => {
    const unprotectedHeader = new Map([[4, Uint8Array.of(1)]])
    const changed = await makeDocument(chain, {}, { unprotectedHeader })
    await expectCode(() => verifyAttestation(changed, options), 'ERR_COSE_HEADER')
  })

  test('refuses a second protected header parameter', async () => {
    const protectedHeader = encodeCbor(new Map<number, Encodable>([[1, -35], [2, [4]]])) // prettier-ignore
    const changed = await makeDocument(chain, {}, { protectedHeader })
    await expectCode(() => verifyAttestation(changed, options), 'ERR_COSE_HEADER')
  })

  test('refuses a document signed by another key than the leaf', async () => {
    const payload = encodeCbor(makePayload(chain))
    const changed = await makeSign1(payload, chain.chip.keys)
    await expectCode(() => verifyAttestation(changed, options), 'ERR_COSE_SIGNATURE')
  })

  test('refuses a document signed over another hash than SHA-384', async () => {
    const payload = encodeCbor(makePayload(chain))
    for (const hash of ['SHA-256', 'SHA-512']) {
      const sign = (message: Uint8Array<ArrayBuffer>) =>
        crypto.subtle.sign({ name: 'ECDSA', hash }, chain.leaf.keys.privateKey, message)
      const header = Uint8Array.of(0xa1, 0x01, 0x38, 0x22)
      const signed = encodeCbor(['Signature1', header, new Uint8Array(), payload])
      const signature = new Uint8Array(await sign(signed))
      const changed = encodeCbor([header, new Map(), payload, signature])
      await expectCode(() => verifyAttestation(changed, options), 'ERR_COSE_SIGNATURE')
    }
  })

  test('is COSE_Sign1: four elements, each of its type', async () => {
    const header = Uint8Array.of(0xa1, 0x01, 0x38, 0x22)
    const bytes = new Uint8Array(96)
    const messages: readonly Encodable[] = [
      header,
      [header, new Map(), bytes],
      [header, new Map(), bytes, bytes, bytes],
      [new Map(), new Map(), bytes, bytes],
      [header, header, bytes, bytes],
      [header, new Map(), null, bytes], // a detached payload
      [header, new Map(), bytes, 'text'],
      [header, new Map(), bytes, bytes.slice(1)],
    ]
    for (const message of messages)
      await expectCode(() => verifyAttestation(encodeCbor(message), options), 'ERR_COSE_FORMAT')
  })

  test('is not affected when the caller changes the bytes while it runs', async () => {
    const bytes = document.slice()
    const running = verifyAttestation(bytes, options)
    bytes.fill(0)
    expect((await running).moduleId).toBe(MODULE_ID)
  })
})

describe('roots', () => {
  test('cabundle[0] is never an anchor: a self-made root inside changes nothing', async () => {
    const forged = await makeDocument(await makeChain(), {})
    await expectCode(() => verifyAttestation(forged, options), 'ERR_CHAIN_SIGNATURE')
  })

  test('cabundle[0] must be a certificate, but not the right one', async () => {
    const { root } = await makeChain()
    const cabundle = [root.certificate, chain.chip.certificate]
    expect((await verifyChanged({ cabundle })).verified).toBe(true)
    const broken = [Uint8Array.of(1), chain.chip.certificate]
    await expectCode(() => verifyChanged({ cabundle: broken }), 'ERR_DER_INVALID')
  })

  test('an issuer name that no root has is ERR_CHAIN_ROOT_UNTRUSTED', async () => {
    const cabundle = [chain.root.certificate]
    await expectCode(() => verifyChanged({ cabundle }), 'ERR_CHAIN_ROOT_UNTRUSTED')
  })

  test('of several roots with one name, the right one is found', async () => {
    const { root } = await makeChain()
    const roots = [root.certificate, chain.root.certificate] as const
    expect((await verifyAttestation(document, { ...options, roots })).verified).toBe(true)
  })

  test('more than nine certificates in the cabundle are refused unread', async () => {
    const cabundle = Array.from({ length: 10 }, () => Uint8Array.of(0))
    await expectCode(() => verifyChanged({ cabundle }), 'ERR_CHAIN_LENGTH')
  })

  test('an error about a certificate says which one it was', async () => {
    const error = await errorOf(() => verifyChanged({ certificate: new Uint8Array(64) }))
    expect(error.code).toBe('ERR_DER_INVALID')
    expect(error.details['certificate']).toBe('certificate')
    const cabundle = [chain.root.certificate, Uint8Array.of(1)]
    const above = await errorOf(() => verifyChanged({ cabundle }))
    expect(above.details['certificate']).toBe('cabundle[1]')
  })
})

describe('time', () => {
  const at = (offsetMs: number, more: Partial<VerifierOptions> = {}) =>
    verifyAttestation(document, { ...options, at: new Date(NOW_MS + offsetMs), ...more })

  test('a document may be five minutes old by default', async () => {
    await at(300_000)
    await expectCode(() => at(300_001), 'ERR_DOCUMENT_TOO_OLD')
  })

  test('an old document that answers another nonce is refused for its nonce', async () => {
    await expectCode(() => at(300_001, { nonce: Uint8Array.of(9) }), 'ERR_NONCE_MISMATCH')
    await expectCode(() => at(300_001, { nonce }), 'ERR_DOCUMENT_TOO_OLD')
    const asked = () => at(300_001, { nonce: () => Promise.reject(new Error('asked')) })
    await expectCode(asked, 'ERR_DOCUMENT_TOO_OLD')
  })

  test('maxAgeMs moves that limit, up to the end of the leaf', async () => {
    await expectCode(() => at(1001, { maxAgeMs: 1000 }), 'ERR_DOCUMENT_TOO_OLD')
    await at(2 * 3_600_000, { maxAgeMs: Infinity })
    await expectCode(() => at(4 * 3_600_000, { maxAgeMs: Infinity }), 'ERR_CERTIFICATE_EXPIRED')
  })

  test('an error states an age in units for people, and the exact figures as data', async () => {
    const { message, details } = await errorOf(() => at(90 * 60_000))
    expect(message).toContain('90 minutes old, 5 minutes at most')
    expect(details).toEqual({ ageMs: 90 * 60_000, maxAgeMs: 300_000 })
    expect((await errorOf(() => at(5000, { maxAgeMs: 1500 }))).message).toContain(
      '5 seconds old, 1.5 seconds at most',
    )
  })

  test('a clock up to clockSkewMs behind is accepted, beyond it the document is of the future', async () => {
    const attestation = await at(-60_000)
    expect(attestation.verifiedAtMs).toBe(NOW_MS)
    await expectCode(() => at(-60_001), 'ERR_DOCUMENT_FROM_FUTURE')
    await expectCode(() => at(-1, { clockSkewMs: 0 }), 'ERR_DOCUMENT_FROM_FUTURE')
  })

  test("'document' checks an archived document at its own time", async () => {
    const attestation = await verifyAttestation(document, { ...options, at: 'document' })
    expect(attestation.verifiedAtMs).toBe(NOW_MS)
  })

  test('without `at` the present counts', async () => {
    const { roots } = options
    await expectCode(() => verifyAttestation(document, { roots }), 'ERR_CERTIFICATE_EXPIRED')
  })
})

describe('JSON of results', () => {
  test('has byte strings as hexadecimal, and everything that was verified', async () => {
    const json: unknown = JSON.parse(JSON.stringify(await verifyAttestation(document, options)))
    expect(json).toMatchObject({
      verified: true,
      moduleId: MODULE_ID,
      pcrs: { 0: pcrHex(0) },
      nonce: '010203',
      publicKey: '04',
      userData: null,
      certificates: [{ der: toHex(chain.root.certificate) }, {}, {}],
    })
    const inspected: unknown = JSON.parse(JSON.stringify(inspectAttestation(document)))
    expect(inspected).toMatchObject({ verified: false, claims: { nonce: '010203' } })
  })

  test('is not in the way of a structured clone', async () => {
    const attestation = await verifyAttestation(document, options)
    expect(structuredClone(attestation)).toEqual(attestation)
  })
})

describe('inspectAttestation', () => {
  test('shows claims without verifying, and says so', async () => {
    const forged = await makeDocument(await makeChain(), { nonce })
    const inspected = inspectAttestation(forged)
    expect(inspected.verified).toBe(false)
    expect(inspected.claims).toMatchObject({ moduleId: MODULE_ID, nonce })
    expect(inspected.claimedChain).toHaveLength(3)
    await expectCode(() => inspectAttestation(forged.slice(1)), 'ERR_CBOR_TRAILING_BYTES')
  })

  test('takes nothing but a Uint8Array, as verification does', async () => {
    for (const wrong of [5, 'text', [1, 2], new ArrayBuffer(3), null, undefined]) {
      const bytes = wrong as unknown as Uint8Array
      expect(() => inspectAttestation(bytes)).toThrow(TypeError)
      await expect(verifyAttestation(bytes, options)).rejects.toThrow(TypeError)
    }
  })
})

describe('any input', () => {
  test('is verified or refused with a coded error', async () => {
    const verifier = createVerifier(options)
    const mutated = fc
      .tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 16 }))
      .map(([at, patch]) => {
        const bytes = document.slice()
        bytes.set(patch, at % (bytes.length - patch.length))
        return bytes
      })
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), async (bytes) => {
        const outcome = await verifier.verify(bytes).catch((error: unknown) => error)
        const same = bytes.length === document.length && bytes.every((b, i) => b === document[i])
        if (!same) expect(outcome).toBeInstanceOf(AttestationError)
      }),
      { numRuns: 1000 },
    )
  })
})
