// What a caller expects of a verified document: debug mode, measurements, fields, assurance.

import { describe, expect, test } from 'vitest'
import { toHex } from '../src/bytes.ts'
import { verifyAttestation, type AttestationErrorCode, type VerifierOptions } from '../src/index.ts'
import { errorOf, expectCode } from './expect-error.ts'
import { makeChain, makeDocument, MODULE_ID, pcrHex, samplePcrs } from './issuer/document.ts'
import { chain, document, nonce, options, verifyChanged } from './sample-document.ts'

const zero = new Uint8Array(48)

describe('debug mode', () => {
  const debugPcrs = () => new Map([...samplePcrs()].map(([i, v]) => [i, i < 3 ? zero : v]))

  test('is refused unless allowed, and then marked', async () => {
    const debug = await makeDocument(chain, { pcrs: debugPcrs() })
    await expectCode(() => verifyAttestation(debug, options), 'ERR_DEBUG_DOCUMENT')
    expect((await verifyAttestation(debug, { ...options, allowDebug: true })).debug).toBe(true)
  })

  test('one zero or one missing among PCR0, PCR1 and PCR2 is enough', async () => {
    for (const pcr of [0, 1, 2]) {
      const zeroed = new Map([...samplePcrs(), [pcr, zero] as const])
      await expectCode(() => verifyChanged({ pcrs: zeroed }), 'ERR_DEBUG_DOCUMENT')
      const missing = samplePcrs()
      missing.delete(pcr)
      await expectCode(() => verifyChanged({ pcrs: missing }), 'ERR_DEBUG_DOCUMENT')
    }
  })

  test('a debug document never matches the measurements of the image', async () => {
    const debug = await makeDocument(chain, { pcrs: debugPcrs() })
    const measurements = { PCR0: pcrHex(0) }
    const allowed = { ...options, allowDebug: true, measurements }
    await expectCode(() => verifyAttestation(debug, allowed), 'ERR_PCR_MISMATCH')
  })
})

describe('measurements', () => {
  const verify = (measurements: VerifierOptions['measurements'] & {}) =>
    verifyAttestation(document, { ...options, measurements })
  const right = { PCR0: pcrHex(0), PCR1: pcrHex(1), PCR2: pcrHex(2) }

  test('match as a set, in either case, and as nitro-cli prints them', async () => {
    await verify(right)
    await verify({ PCR9: pcrHex(9).toUpperCase() })
    await verify({ Measurements: { HashAlgorithm: 'Sha384 { ... }', ...right } })
  })

  test('a mismatch names the PCR and both values, in the message too', async () => {
    const error = await errorOf(() => verify({ ...right, PCR1: pcrHex(7) }))
    expect(error.code).toBe('ERR_PCR_MISMATCH')
    expect(error.details).toEqual({ pcr: 1, expected: pcrHex(7), actual: pcrHex(1) })
    expect(error.message).toContain(pcrHex(7))
    expect(error.message).toContain(pcrHex(1))
    expect(error.hint).not.toBe('')
  })

  test('several sets: one must match as a whole', async () => {
    await verify([{ PCR0: pcrHex(5) }, right])
    const mixed = [
      { PCR0: pcrHex(0), PCR1: pcrHex(5) },
      { PCR0: pcrHex(5), PCR1: pcrHex(1) },
    ]
    await expectCode(() => verify(mixed), 'ERR_PCR_MISMATCH')
  })

  test('of several sets, the error is about the one that comes closest', async () => {
    const far = { PCR0: pcrHex(5), PCR1: pcrHex(5) }
    const close = { ...right, PCR2: pcrHex(6) }
    for (const sets of [
      [far, close],
      [close, far],
    ]) {
      const { details } = await errorOf(() => verify(sets))
      expect(details).toMatchObject({ pcr: 2, expected: pcrHex(6) })
    }
  })

  test('a PCR that the document lacks is ERR_PCR_MISSING', async () => {
    await expectCode(() => verify({ PCR16: pcrHex(16) }), 'ERR_PCR_MISSING')
  })

  test('what accepts everything or nothing is refused: no set, an empty set, bad names', async () => {
    const wrong: unknown[] = [[], {}, null, 'PCR0', { pcr0: pcrHex(0) }, { PCR0: '00' }]
    wrong.push({ PCR32: pcrHex(0) }, { PCR00: pcrHex(0) }, { Measurements: {} }, [[]])
    wrong.push(Object.assign(Object.create({ PCR0: '00' }) as object, { PCR1: pcrHex(1) }))
    for (const measurements of wrong) {
      const options = measurements as VerifierOptions['measurements'] & {}
      await expectCode(() => verify(options), 'ERR_MEASUREMENTS_FORMAT')
    }
  })
})

describe('expectations', () => {
  const wrong: readonly [Partial<VerifierOptions>, AttestationErrorCode][] = [
    [{ nonce: Uint8Array.of(9) }, 'ERR_NONCE_MISMATCH'],
    [{ nonce: () => false }, 'ERR_NONCE_MISMATCH'],
    [{ publicKey: Uint8Array.of(9) }, 'ERR_PUBLIC_KEY_MISMATCH'],
    [{ userData: new Uint8Array() }, 'ERR_USER_DATA_MISMATCH'],
    [{ moduleId: 'i-0' }, 'ERR_MODULE_ID_MISMATCH'],
    [{ moduleId: () => false }, 'ERR_MODULE_ID_MISMATCH'],
    [{ assurance: 'hardware-tpm' }, 'ERR_ASSURANCE'],
    [{ tpmEvidence: 'require' }, 'ERR_TPM_EVIDENCE_MISSING'],
    [{ kind: 'nitro-tpm' }, 'ERR_DOCUMENT_KIND'],
  ]
  for (const [expectation, code] of wrong) {
    test(`${Object.keys(expectation).join()} that differs is ${code}`, async () => {
      await expectCode(() => verifyAttestation(document, { ...options, ...expectation }), code)
    })
  }

  test('that differ are in the error, beside what the document has', async () => {
    const verify = (more: Partial<VerifierOptions>) =>
      errorOf(() => verifyAttestation(document, { ...options, ...more }))
    const bytes = await verify({ userData: Uint8Array.of(0xab) })
    expect(bytes.message).toContain('user_data is absent, expected ab')
    expect(bytes.details).toEqual({ expected: 'ab', actual: null })
    const empty = await verify({ userData: new Uint8Array() })
    expect(empty.message).toContain('user_data is absent, expected empty')
    const question = await verify({ nonce: () => false })
    expect(question.details).toEqual({ expected: null, actual: toHex(nonce) })
    const moduleId = await verify({ moduleId: 'i-0' })
    expect(moduleId.details).toEqual({ expected: 'i-0', actual: MODULE_ID })
    expect((await verify({ moduleId: () => false })).details['expected']).toBe(null)
  })

  test('that match are accepted, as bytes and as questions', async () => {
    const seen: unknown[] = []
    await verifyAttestation(document, {
      ...options,
      nonce,
      publicKey: async (actual) => Promise.resolve(actual?.[0] === 4),
      userData: (actual) => seen.push(actual) === 1 && actual === null,
      moduleId: (actual) => actual.startsWith('i-'),
      assurance: ['software-tpm', 'hardware-tpm'],
    })
    expect(seen).toEqual([null])
  })

  test('of empty user data, of a field that is absent and of no bytes at all are three things', async () => {
    const empty = await makeDocument(chain, { user_data: new Uint8Array() })
    const cases: readonly [Uint8Array, VerifierOptions['userData'] & {}, matches: boolean][] = [
      [empty, new Uint8Array(), true],
      [empty, 'absent', false],
      [document, new Uint8Array(), false],
      [document, 'absent', true],
    ]
    for (const [given, userData, matches] of cases) {
      const verified = () => verifyAttestation(given, { ...options, userData })
      if (matches) await verified()
      else await expectCode(verified, 'ERR_USER_DATA_MISMATCH')
    }
    const noNonce = { ...options, nonce: 'absent' } as const
    await expectCode(() => verifyAttestation(document, noNonce), 'ERR_NONCE_MISMATCH')
  })

  test('an answer that is not exactly true is no', async () => {
    const question = () => Promise.resolve(true) as unknown as boolean
    const moduleId = { ...options, moduleId: question }
    await expectCode(() => verifyAttestation(document, moduleId), 'ERR_MODULE_ID_MISMATCH')
    const truthy = { ...options, nonce: () => 1 as unknown as boolean }
    await expectCode(() => verifyAttestation(document, truthy), 'ERR_NONCE_MISMATCH')
  })

  test('questions are not asked about a document that is not trusted', async () => {
    const forged = await makeDocument(await makeChain(), { nonce })
    const question = () => {
      throw new Error('asked')
    }
    const asked = () => verifyAttestation(forged, { ...options, nonce: question })
    await expectCode(asked, 'ERR_CHAIN_SIGNATURE')
  })
})

describe('assurance', () => {
  test('is the OU of the certificate that issued the leaf', async () => {
    for (const assurance of ['software-tpm', 'hardware-tpm'] as const) {
      const other = await makeChain(assurance)
      const roots = [other.root.certificate] as const
      const attestation = await verifyAttestation(await makeDocument(other), { ...options, roots })
      expect(attestation.assurance).toBe(assurance)
    }
  })

  test('is unknown for any other OU, even one that says AWS', async () => {
    for (const unit of ['AWS', 'aws-nitro']) {
      const other = await makeChain(unit)
      const roots = [other.root.certificate] as const
      const attestation = await verifyAttestation(await makeDocument(other), { ...options, roots })
      expect(attestation.assurance).toBe('unknown')
    }
  })
})
