// The same documents to this verifier and to Go's hf/nitrite. Never accept what it refuses; what it
// accepts and we refuse has a written reason below.

import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import documents from 'virtual:aws-documents'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { concatBytes } from '../../src/bytes.ts'
import { AttestationError, awsNitroRootG1, createVerifier } from '../../src/index.ts'
import {
  basicConstraints,
  issue,
  keyUsage,
  mayIssue,
  maySign,
  type CertificateShape,
} from '../issuer/authority.ts'
import { encodeCbor, head, type Encodable } from '../issuer/cbor-writer.ts'
import { name, octets } from '../issuer/der-writer.ts'
import {
  chipShape,
  leafShape,
  makeChain,
  makeDocument,
  makePayload,
  makeSign1,
  NOW_MS,
  rootShape,
  samplePcrs,
  type Chain,
} from '../issuer/document.ts'
import { makeEvidence } from '../issuer/tpm-writer.ts'

/** Why we refuse what nitrite accepts, by our code. Anything else fails the test. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_DEBUG_DOCUMENT: 'nitrite does not know debug mode',
  ERR_DOCUMENT_FIELD: 'unknown fields, PCRs that are not 48 bytes and empty keys pass nitrite',
  ERR_CBOR_NOT_MINIMAL: 'nitrite accepts integers and lengths that are not minimal',
  ERR_CBOR_DUPLICATE_KEY: 'nitrite takes one of two values under the same key',
  ERR_CBOR_INDEFINITE_LENGTH: 'nitrite accepts any indefinite length',
  ERR_CBOR_TRAILING_BYTES: 'nitrite ignores bytes after the message and after the payload',
  ERR_COSE_ALGORITHM: 'nitrite also takes the algorithm as text',
  ERR_DER_INVALID: 'Go allows serial numbers that are zero or negative',
  ERR_CHAIN_NAME: 'nitrite looks for a path in a cabundle of any order',
  ERR_COSE_HEADER: 'nitrite ignores header parameters that it does not know',
  ERR_COSE_TAG: 'nitrite skips any CBOR tag',
  ERR_COSE_FORMAT: 'nitrite skips tags, and does not look at the unprotected header',
  ERR_CBOR_UNSUPPORTED: 'nitrite skips tags inside the message',
  ERR_CHAIN_LEAF: 'nitrite does not look at the leaf’s keyUsage and CA flag',
  ERR_CHAIN_NOT_A_CA: 'Go lets a CA without keyUsage issue certificates',
  ERR_X509_EXTENSION: 'Go ignores name constraints that are not critical',
  ERR_X509_FORMAT: 'Go allows serial numbers over 20 bytes and several attributes per RDN',
  ERR_TPM_EVIDENCE_FORMAT: 'nitrite ignores the unprotected header',
  ERR_TPM_SIGNATURE: 'nitrite ignores the unprotected header',
  ERR_TPM_STRUCTURE: 'nitrite ignores the unprotected header',
  ERR_TPM_BINDING: 'nitrite ignores the unprotected header',
  ERR_TPM_PCR_MISMATCH: 'nitrite ignores the unprotected header',
  ERR_CBOR_TRUNCATED: 'nitrite does not decode the unprotected header',
  ERR_CBOR_INVALID_UTF8: 'nitrite does not decode the unprotected header',
  ERR_CBOR_KEY_TYPE: 'nitrite does not decode the unprotected header',
}

let directory: string
let nitrite: ChildProcessWithoutNullStreams
let answers: AsyncIterator<string>

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nitrite-'))
  const program = join(directory, 'nitrite')
  execFileSync('go', ['build', '-o', program, '.'], { cwd: import.meta.dirname, stdio: 'inherit' })
  nitrite = spawn(program)
  answers = createInterface({ input: nitrite.stdout })[Symbol.asyncIterator]()
})

afterAll(() => {
  nitrite.stdin.end()
  rmSync(directory, { recursive: true })
})

interface Candidate {
  readonly name: string
  readonly document: Uint8Array
}

async function askNitrite(document: Uint8Array, root: Uint8Array, atMs: number): Promise<string> {
  const question = {
    document: Buffer.from(document).toString('base64'),
    root: Buffer.from(root).toString('base64'),
    atMs,
  }
  nitrite.stdin.write(`${JSON.stringify(question)}\n`)
  const answer = await answers.next()
  return String(answer.value)
}

/** A refusal is a coded error; anything else is a fault. */
function refusal(error: unknown): AttestationError {
  if (error instanceof AttestationError) return error
  throw error
}

/** Compares the two verifiers on all candidates. */
async function compare(root: Uint8Array, atMs: number, candidates: Iterable<Candidate>) {
  const verifier = createVerifier({ roots: [root], at: new Date(atMs), maxAgeMs: Infinity })
  const tally = { both: 0, neither: 0, onlyNitrite: {} as Record<string, number> }
  const wrong: string[] = []
  for (const { name: candidate, document } of candidates) {
    const theirs = await askNitrite(document, root, atMs)
    const ours = await verifier.verify(document).catch(refusal)
    const weAccept = !(ours instanceof AttestationError)
    if (theirs === 'accepted' && weAccept) tally.both += 1
    else if (theirs !== 'accepted' && !weAccept) tally.neither += 1
    else if (weAccept) wrong.push(`${candidate}: only we accept; nitrite: ${theirs}`)
    else {
      const { code } = ours
      tally.onlyNitrite[code] = (tally.onlyNitrite[code] ?? 0) + 1
      if (!REASONS[code]) wrong.push(`${candidate}: only nitrite accepts; ours: ${String(ours)}`)
    }
  }
  return { tally, wrong }
}

/** Random changes of one document: bits, cuts, insertions. */
function* mutants(document: Uint8Array, count: number): Generator<Candidate> {
  let state = 0x2545f491
  const random = (limit: number) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
  for (let i = 0; i < count; i++) {
    const at = random(document.length)
    const flipped = document.slice()
    flipped[at] = (flipped[at] ?? 0) ^ (1 << random(8))
    yield { name: `bit flip ${i} at ${at}`, document: flipped }
    yield {
      name: `deletion ${i} at ${at}`,
      document: concatBytes(document.subarray(0, at), document.subarray(at + 1)),
    }
    const inserted = Uint8Array.of(random(256))
    yield {
      name: `insertion ${i} at ${at}`,
      document: concatBytes(document.subarray(0, at), inserted, document.subarray(at)),
    }
  }
}

const FIELDS: Readonly<Record<string, readonly (Encodable | undefined)[]>> = {
  module_id: [undefined, '', 'x', 1, null, new Uint8Array(1)],
  digest: [undefined, 'SHA256', 'sha384', null],
  timestamp: [undefined, 0, 1, -1, NOW_MS - 1000, NOW_MS + 1000, 2n ** 63n, 'now', null],
  pcrs: [
    undefined,
    new Map(),
    new Map([[0, new Uint8Array(48)]]),
    new Map([...samplePcrs(), [31, new Uint8Array(48)] as const]),
    new Map([...samplePcrs(), [32, new Uint8Array(48)] as const]),
    new Map([...samplePcrs(), [20, new Uint8Array(32)] as const]),
    new Map([...samplePcrs(), [20, new Uint8Array(47)] as const]),
    new Map<Encodable, Encodable>([['0', new Uint8Array(48)]]),
  ],
  certificate: [undefined, new Uint8Array(), new Uint8Array(1025), null],
  cabundle: [undefined, [], [new Uint8Array()], [new Uint8Array(4)], null],
  public_key: [
    undefined,
    new Uint8Array(),
    new Uint8Array(1),
    new Uint8Array(1024),
    new Uint8Array(1025),
    'text',
  ],
  user_data: [undefined, new Uint8Array(), new Uint8Array(1024), new Uint8Array(1025), 0],
  nonce: [undefined, new Uint8Array(), new Uint8Array(1024), new Uint8Array(1025), []],
  extra: [null, 1],
}

async function fieldVariants(chain: Chain): Promise<Candidate[]> {
  const variants: Candidate[] = []
  for (const [field, values] of Object.entries(FIELDS)) {
    for (const [i, value] of values.entries()) {
      const document = await makeDocument(chain, { [field]: value })
      variants.push({ name: `${field} variant ${i}`, document })
    }
  }
  return variants
}

/** Other encodings of the same payload and message. */
async function encodingVariants(chain: Chain): Promise<Candidate[]> {
  const payload = encodeCbor(makePayload(chain))
  const { keys } = chain.leaf
  const duplicate = concatBytes(Uint8Array.of(0xaa), payload.subarray(1), encodeCbor('nonce'), encodeCbor(null)) // prettier-ignore
  const payloads: Readonly<Record<string, Uint8Array>> = {
    'indefinite map': concatBytes(Uint8Array.of(0xbf), payload.subarray(1), Uint8Array.of(0xff)),
    'map length that is not minimal': concatBytes(Uint8Array.of(0xb8, 9), payload.subarray(1)),
    'duplicate key': duplicate,
    'trailing byte in the payload': concatBytes(payload, Uint8Array.of(0)),
    'tagged payload map': concatBytes(Uint8Array.of(0xc1), payload),
    'empty payload': new Uint8Array(),
  }
  const variants: Candidate[] = []
  for (const [claim, bytes] of Object.entries(payloads)) {
    variants.push({ name: claim, document: await makeSign1(bytes, keys) })
  }
  const shapes = {
    'tag 18': { tag: 18 },
    'tag 61': { tag: 61 },
    'unknown unprotected header': { unprotectedHeader: new Map([[4, new Uint8Array(2)]]) },
    'unprotected header that is a list': { unprotectedHeader: [] },
    'text algorithm': { protectedHeader: encodeCbor(new Map([[1, 'ES384']])) },
    ES256: { protectedHeader: encodeCbor(new Map([[1, -7]])) },
    'two protected headers': { protectedHeader: encodeCbor(new Map([[1, -35], [3, 0]])) }, // prettier-ignore
    'empty protected header': { protectedHeader: new Uint8Array() },
  }
  for (const [claim, shape] of Object.entries(shapes)) {
    variants.push({ name: claim, document: await makeSign1(payload, keys, shape) })
  }
  const plain = await makeSign1(payload, keys)
  variants.push({ name: 'trailing byte', document: concatBytes(plain, Uint8Array.of(0)) })
  const five = concatBytes(head(4, 5), plain.subarray(1), Uint8Array.of(0xf6))
  variants.push({ name: 'five elements', document: five })
  return variants
}

type Level = 'chip' | 'leaf'
const CERTIFICATES: readonly [claim: string, level: Level, changes: Partial<CertificateShape>][] = [
  ['expired leaf', 'leaf', { notAfterMs: NOW_MS - 1000 }],
  ['leaf of the future', 'leaf', { notBeforeMs: NOW_MS + 5000 }],
  ['expired chip', 'chip', { notAfterMs: NOW_MS - 1000 }],
  ['leaf that is a CA', 'leaf', { extensions: [basicConstraints(true), keyUsage(0x84, 2)] }],
  ['leaf without extensions', 'leaf', { extensions: [] }],
  ['leaf without keyUsage', 'leaf', { extensions: [basicConstraints(false)] }],
  ['leaf with keyCertSign only', 'leaf', { extensions: [basicConstraints(false), mayIssue()] }],
  ['chip without CA', 'chip', { extensions: [basicConstraints(false), mayIssue()] }],
  ['chip without keyUsage', 'chip', { extensions: [basicConstraints(true, 0)] }],
  ['chip without keyCertSign', 'chip', { extensions: [basicConstraints(true, 0), maySign()] }],
  ['chip without extensions', 'chip', { extensions: [] }],
  ['unknown critical extension', 'leaf', { extensions: [maySign(), { oid: '2a0304', critical: true, value: octets(new Uint8Array(1)) }] }],
  ['unknown extension', 'leaf', { extensions: [maySign(), { oid: '2a0304', critical: false, value: octets(new Uint8Array(1)) }] }],
  ['duplicate extension', 'leaf', { extensions: [maySign(), maySign()] }],
  ['pathLen without CA', 'leaf', { extensions: [basicConstraints(false, 1), maySign()] }],
  ['another issuer name', 'leaf', { issuerName: name({ CN: 'other' }) }],
  ['negative serial number', 'leaf', { serialNumber: Uint8Array.of(0x80) }],
  ['serial number zero', 'leaf', { serialNumber: Uint8Array.of(0) }],
  ['serial number of 21 bytes', 'leaf', { serialNumber: new Uint8Array(21).fill(1) }],
  ['GeneralizedTime', 'leaf', { notAfterMs: Date.UTC(2060, 0, 1) }],
] // prettier-ignore

/** Chains with one certificate that differs, correctly signed. */
async function certificateVariants(root: Chain['root']): Promise<Candidate[]> {
  const variants: Candidate[] = []
  for (const [claim, level, changes] of CERTIFICATES) {
    const chip = await issue({ ...chipShape(), ...(level === 'chip' ? changes : {}) }, root)
    const leaf = await issue({ ...leafShape(), ...(level === 'leaf' ? changes : {}) }, chip)
    variants.push({ name: claim, document: await makeDocument({ root, chip, leaf }) })
  }
  const chip = await issue(chipShape(), root)
  const rogue = await issue({ ...chipShape(), subject: { CN: 'rogue' } }, chip)
  const leaf = await issue(leafShape(), rogue)
  const cabundle = [root.certificate, chip.certificate, rogue.certificate]
  const document = await makeDocument({ root, chip: rogue, leaf }, { cabundle })
  variants.push({ name: 'chip with pathLen 0 above a CA', document })
  const right = await issue(leafShape(), chip)
  const chain = { root, chip, leaf: right }
  const unordered = [chip.certificate, root.certificate]
  const missing = [root.certificate]
  for (const [claim, bundle] of Object.entries({ unordered, missing })) {
    const changed = await makeDocument(chain, { cabundle: bundle })
    variants.push({ name: `cabundle ${claim}`, document: changed })
  }
  return variants
}

describe('in comparison with hf/nitrite', () => {
  test('nothing is accepted that it refuses, and every refusal of ours has a reason', async () => {
    const root = await issue(rootShape())
    const chip = await issue(chipShape(), root)
    const chain = { root, chip, leaf: await issue(leafShape(), chip) }
    const candidates = [
      { name: 'right', document: await makeDocument(chain) },
      ...(await fieldVariants(chain)),
      ...(await encodingVariants(chain)),
      ...(await certificateVariants(root)),
    ]
    const { tally, wrong } = await compare(root.certificate, NOW_MS, candidates)
    expect(wrong).toEqual([])
    expect(tally.both).toBeGreaterThan(10)
    expect(tally.neither).toBeGreaterThan(30)
  })

  test('the same for 3000 mutations of a document with TPM evidence', async () => {
    const chain = await makeChain()
    const payload = encodeCbor(makePayload(chain))
    const evidence = await makeEvidence(payload, samplePcrs(), chain.leaf.keys)
    const unprotectedHeader = new Map([['tpm', evidence]])
    const document = await makeSign1(payload, chain.leaf.keys, { unprotectedHeader })
    const { wrong } = await compare(chain.root.certificate, NOW_MS, mutants(document, 1000))
    expect(wrong).toEqual([])
  })

  if (documents.length === 0) test.skip('the same for real AWS documents')

  for (const { file, base64 } of documents) {
    test(`the same for ${file} and 300 mutations of it`, async () => {
      const document = new Uint8Array(Buffer.from(base64, 'base64'))
      const verifier = createVerifier({ roots: [awsNitroRootG1], at: 'document', allowDebug: true })
      const { timestampMs } = await verifier.verify(document)
      const candidates = [{ name: 'as it is', document }, ...mutants(document, 100)]
      const { wrong } = await compare(awsNitroRootG1, timestampMs, candidates)
      expect(wrong).toEqual([])
    })
  }
})
