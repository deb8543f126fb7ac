// Makes documents for tests: the chain of a host chip, a payload in AWS's key order, COSE_Sign1.

import { concatBytes, toHex } from '../../src/bytes.ts'
import {
  basicConstraints,
  issue,
  keyUsage,
  mayIssue,
  maySign,
  signRaw,
  type CertificateShape,
  type Identity,
  type KeyPair,
} from './authority.ts'
import { encodeCbor, head, type Encodable } from './cbor-writer.ts'

/** The moment around which everything in the tests happens. */
export const NOW_MS = Date.UTC(2026, 2, 3, 4, 5, 6, 789)
export const MODULE_ID = 'i-0123456789abcdef0-enc0123456789abcdef'
const HOUR_MS = 3_600_000
const SECOND_MS = 1000

/** Root, host chip and leaf. */
export interface Chain {
  readonly root: Identity
  readonly chip: Identity
  readonly leaf: Identity
}

export const rootShape = (): CertificateShape => ({
  subject: { CN: 'Test authority', OU: 'development', O: 'Cloister' },
  notBeforeMs: floorSecond(NOW_MS - 1000 * HOUR_MS),
  notAfterMs: floorSecond(NOW_MS + 1000 * HOUR_MS),
  extensions: [basicConstraints(true), keyUsage(0x06, 1)],
})

export const chipShape = (assurance = 'software-tpm'): CertificateShape => ({
  subject: { CN: 'i-0123456789abcdef0.cloister', OU: assurance, O: 'Cloister' },
  notBeforeMs: floorSecond(NOW_MS - 100 * HOUR_MS),
  notAfterMs: floorSecond(NOW_MS + 100 * HOUR_MS),
  extensions: [basicConstraints(true, 0), mayIssue()],
})

export const leafShape = (): CertificateShape => ({
  subject: { CN: MODULE_ID, OU: 'enclave', O: 'Cloister' },
  notBeforeMs: floorSecond(NOW_MS) - 3 * SECOND_MS,
  notAfterMs: floorSecond(NOW_MS) + 3 * HOUR_MS,
  extensions: [basicConstraints(false), maySign()],
})

export async function makeChain(assurance?: string): Promise<Chain> {
  const root = await issue(rootShape())
  const chip = await issue(chipShape(assurance), root)
  return { root, chip, leaf: await issue(leafShape(), chip) }
}

/** PCR n is 48 bytes of n + 1, so none is zero. */
export function samplePcrs(): Map<number, Uint8Array> {
  return new Map(Array.from({ length: 16 }, (_, pcr) => [pcr, new Uint8Array(48).fill(pcr + 1)]))
}

export const pcrHex = (pcr: number): string => toHex(new Uint8Array(48).fill(pcr + 1))

/** A payload as AWS orders it; fields can be replaced, added or (undefined) left out. */
export function makePayload(
  { root, chip, leaf }: Chain,
  changes: Readonly<Record<string, Encodable | undefined>> = {},
): Map<Encodable, Encodable> {
  const fields: Readonly<Record<string, Encodable | undefined>> = {
    module_id: MODULE_ID,
    digest: 'SHA384',
    timestamp: NOW_MS,
    pcrs: samplePcrs(),
    certificate: leaf.certificate,
    cabundle: [root.certificate, chip.certificate],
    public_key: null,
    user_data: null,
    nonce: null,
    ...changes,
  }
  const present = Object.entries(fields).filter(([, value]) => value !== undefined)
  return new Map(present as [string, Encodable][])
}

/** How a message differs from an ordinary one. */
export interface Sign1Shape {
  readonly protectedHeader?: Uint8Array
  readonly unprotectedHeader?: Encodable
  readonly tag?: number
}

const ES384_HEADER = Uint8Array.of(0xa1, 0x01, 0x38, 0x22)

/** Signs payload bytes as COSE_Sign1. */
export async function makeSign1(
  payload: Uint8Array,
  keys: KeyPair,
  shape: Sign1Shape = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { protectedHeader = ES384_HEADER, unprotectedHeader = new Map(), tag } = shape
  const signed = encodeCbor(['Signature1', protectedHeader, new Uint8Array(), payload])
  const signature = await signRaw(keys, signed)
  const message = encodeCbor([protectedHeader, unprotectedHeader, payload, signature])
  return tag === undefined ? message : concatBytes(head(6, tag), message)
}

/** A whole document. */
export async function makeDocument(
  chain: Chain,
  changes: Readonly<Record<string, Encodable | undefined>> = {},
  shape: Sign1Shape = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return makeSign1(encodeCbor(makePayload(chain, changes)), chain.leaf.keys, shape)
}

function floorSecond(timeMs: number): number {
  return timeMs - (timeMs % SECOND_MS)
}
