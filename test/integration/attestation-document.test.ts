// A document made by a real TPM: its bytes against AWS's form, and second opinions of openssl and
// tpm2-tools on its chain, its signature and its quote. Verification by @cloister/attestation is
// in verified-document.test.ts.

import { execFile } from 'node:child_process'
import { createHash, verify, X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { decodeCbor, type CborMap } from '@cloister/attestation/cbor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  encodeRequest,
  launchedNsm,
  measurements,
  sha384,
  ZERO_PCR,
  type LaunchedNsm,
} from '../fixtures/launched-nsm.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

const run = promisify(execFile)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const nonce = Uint8Array.from({ length: 32 }, (_, index) => index)

interface Document {
  readonly protectedHeader: Uint8Array
  readonly unprotectedHeader: CborMap
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly fields: CborMap
  readonly leaf: X509Certificate
}

let enclave: LaunchedNsm
let document: Document

beforeAll(async () => {
  enclave = await launchedNsm({
    measurements: { ...measurements, pcr3: 'role', pcr8: sha384('c') },
  })
  document = decodeDocument(await enclave.attest({ nonce }))
})
afterAll(() => enclave[Symbol.asyncDispose]())

function decodeDocument(bytes: Uint8Array): Document {
  const [protectedHeader, unprotectedHeader, payload, signature] = decodeCbor(bytes) as unknown as [
    Uint8Array,
    CborMap,
    Uint8Array,
    Uint8Array,
  ]
  const fields = decodeCbor(payload) as CborMap
  const leaf = new X509Certificate(fields.get('certificate') as Uint8Array)
  return { protectedHeader, unprotectedHeader, payload, signature, fields, leaf }
}

function pcrsOf({ fields }: Document): Map<number, Uint8Array> {
  return fields.get('pcrs') as Map<number, Uint8Array>
}

function evidenceOf({ unprotectedHeader }: Document): CborMap {
  return unprotectedHeader.get('tpm') as CborMap
}

describe('the form', () => {
  it('is an untagged COSE_Sign1 with ES384 around a definite map in the order of AWS', async () => {
    const bytes = await enclave.attest({ nonce })
    expect(hex(bytes.subarray(0, 6))).toBe('8444a1013822')
    expect(document.signature.length).toBe(96)
    expect([...document.unprotectedHeader.keys()]).toEqual(['tpm'])
    expect(document.payload[0]).toBe(0xa9)
    expect([...document.fields.keys()]).toEqual([
      ...['module_id', 'digest', 'timestamp', 'pcrs', 'certificate', 'cabundle'],
      ...['public_key', 'user_data', 'nonce'],
    ])
    expect(hex(document.payload)).toContain(`${hex(Buffer.from('itimestamp'))}1b000001`)
  })

  it('has null for what is absent, and keeps an empty byte string apart from it', async () => {
    const { fields } = decodeDocument(await enclave.attest({ user_data: new Uint8Array(0) }))
    expect(fields.get('user_data')).toEqual(new Uint8Array(0))
    expect([fields.get('public_key'), fields.get('nonce')]).toEqual([null, null])
    expect(document.fields.get('nonce')).toEqual(nonce)
  })

  it('is encoded again to the same bytes', async () => {
    const bytes = await enclave.attest({ nonce })
    const [protectedHeader, unprotectedHeader, payload, signature] = decodeCbor(
      bytes,
    ) as unknown as Uint8Array[]
    expect(hex(encodeRequest([protectedHeader, unprotectedHeader, payload, signature]))).toBe(
      hex(bytes),
    )
  })
})

describe('the PCRs', () => {
  it('are what was measured, once extended from zero, and zero elsewhere', () => {
    const pcrs = pcrsOf(document)
    const expected = new Map<number, Uint8Array>(
      Array.from({ length: 16 }, (_, index) => [index, ZERO_PCR]),
    )
    expected.set(0, sha384(ZERO_PCR, measurements.pcr0))
    expected.set(1, sha384(ZERO_PCR, measurements.pcr1))
    expected.set(2, sha384(ZERO_PCR, measurements.pcr2))
    expected.set(3, sha384(ZERO_PCR, 'role'))
    expected.set(4, sha384(ZERO_PCR, measurements.pcr4 ?? ''))
    expected.set(8, sha384(ZERO_PCR, sha384('c')))
    expect([...pcrs].map(([index, value]) => [index, hex(value)])).toEqual(
      [...expected].map(([index, value]) => [index, hex(value)]),
    )
  })

  it('of a debug enclave are zero for 0, 1 and 2, and set for 4', async () => {
    await using debug = await launchedNsm({ debug: true })
    const pcrs = pcrsOf(decodeDocument(await debug.attest()))
    expect([0, 1, 2].map((index) => pcrs.get(index))).toEqual([ZERO_PCR, ZERO_PCR, ZERO_PCR])
    expect(pcrs.get(4)).toEqual(sha384(ZERO_PCR, measurements.pcr4 ?? ''))
  })

  it('include 16-31 once locked, in ascending order whatever the order of locking', async () => {
    await using other = await launchedNsm()
    for (const index of [30, 17, 22]) {
      await other.ask({ ExtendPCR: { index, data: Uint8Array.of(index) } })
      await other.ask({ LockPCR: { index } })
    }
    await other.ask({ ExtendPCR: { index: 16, data: Uint8Array.of(1) } })
    await other.ask({ LockPCR: { index: 31 } })
    const locked = decodeDocument(await other.attest())
    expect([...pcrsOf(locked).keys()].slice(16)).toEqual([17, 22, 30, 31])
    expect(pcrsOf(locked).get(30)).toEqual(sha384(ZERO_PCR, Uint8Array.of(30)))
    const certified = evidenceOf(locked).get('certifiedNv') as unknown as CborMap[]
    expect(certified.map((entry) => entry.get('pcr'))).toEqual([4, 17, 22, 30])
  })
})

describe('the signature', () => {
  it('is by the key of the leaf, over the Sig_structure of RFC 9052', () => {
    const toBeSigned = encodeRequest([
      ...['Signature1', document.protectedHeader, new Uint8Array(0), document.payload],
    ])
    const key = { key: document.leaf.publicKey, dsaEncoding: 'ieee-p1363' } as const
    expect(verify('sha384', toBeSigned, key, document.signature)).toBe(true)
  })

  it('is over the same payload with and without evidence', async () => {
    await using full = await launchedNsm()
    const field = new Uint8Array(1024)
    for (let index = 16; index < 32; index++) {
      await full.ask({ ExtendPCR: { index, data: field } })
    }
    await full.ask({ LockPCRs: { range: 32 } })
    const fields = { user_data: field, nonce: field, public_key: field }
    const bare = decodeDocument(await full.attest(fields))
    expect([...bare.unprotectedHeader.keys()]).toEqual([])
    expect(full.incidents.map(({ type }) => type)).toEqual(['evidence-omitted'])
    const within = decodeDocument(await full.attest({ user_data: field.subarray(0, 384) }))
    expect([...within.unprotectedHeader.keys()]).toEqual(['tpm'])
    expect((evidenceOf(within).get('certifiedNv') as unknown[]).length).toBe(17)
    expect(full.incidents.length).toBe(1)
  })
})

describe('second opinions', () => {
  it('openssl accepts the chain, also strictly', async () => {
    await using directory = await temporaryDirectory()
    const bundle = document.fields.get('cabundle') as unknown as Uint8Array[]
    const [root, chip] = bundle.map((der) => new X509Certificate(der).toString())
    await writeFile(directory.join('root.pem'), root ?? '')
    await writeFile(directory.join('chip.pem'), chip ?? '')
    await writeFile(directory.join('leaf.pem'), document.leaf.toString())
    const { stdout } = await run('openssl', [
      ...['verify', '-x509_strict', '-CAfile', directory.join('root.pem')],
      ...['-untrusted', directory.join('chip.pem'), directory.join('leaf.pem')],
    ])
    expect(stdout).toContain(': OK')
  })

  it('tpm2_checkquote accepts the quote, over this payload and no other', async () => {
    await using directory = await temporaryDirectory()
    const quote = evidenceOf(document).get('quote') as CborMap
    const key = document.leaf.publicKey.export({ format: 'pem', type: 'spki' })
    await writeFile(directory.join('ak.pem'), key)
    await writeFile(directory.join('attested'), quote.get('attested') as Uint8Array)
    await writeFile(
      directory.join('signature'),
      tpmtSignature(quote.get('signature') as Uint8Array),
    )
    const checkQuote = (qualification: string): Promise<unknown> =>
      run('tpm2_checkquote', [
        ...['-u', directory.join('ak.pem'), '-g', 'sha384', '-q', qualification],
        ...['-m', directory.join('attested'), '-s', directory.join('signature')],
      ])
    await checkQuote(createHash('sha384').update(document.payload).digest('hex'))
    await expect(checkQuote('00'.repeat(48))).rejects.toThrow()
  })
})

/** TPMT_SIGNATURE (ECDSA, SHA-384) from `r || s`, as tpm2-tools reads it. */
function tpmtSignature(signature: Uint8Array): Uint8Array {
  const [r, s] = [hex(signature.subarray(0, 48)), hex(signature.subarray(48))]
  return Buffer.from(`0018000c0030${r}0030${s}`, 'hex')
}
