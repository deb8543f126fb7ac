// The payload of an attestation document: AWS's nsm-api docs/attestation_process.md, sections 2.2 and
// 3.2.2, for enclaves, and the same with `nitrotpm_pcrs` for NitroTPM. Unknown fields are refused.

import { decodeCbor, isArray, isBytes, isMap, type CborMap, type CborValue } from '../cbor/index.ts'
import { AttestationError, check } from '../errors.ts'
import { SHA384_BYTES } from '../signature/webcrypto.ts'

/** What made a document: an enclave's NSM, or the NitroTPM of an EC2 instance. */
export type DocumentKind = 'nitro-enclave' | 'nitro-tpm'

/** A decoded payload. Nothing in it is verified; byte strings are views into the input. */
export interface Payload {
  readonly kind: DocumentKind
  /** `i-<instance>-enc<hex>` for an enclave. */
  readonly moduleId: string
  readonly timestampMs: number
  /** 48-byte SHA-384 values by index; of an enclave only the locked ones. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>
  /** DER certificate of the key that signed the document. */
  readonly certificate: Uint8Array
  /** DER certificates, root first. The first is not a trust anchor. */
  readonly cabundle: readonly Uint8Array[]
  readonly publicKey: Uint8Array | null
  readonly userData: Uint8Array | null
  readonly nonce: Uint8Array | null
}

const MAX_PAYLOAD_BYTES = 16384
const MAX_MODULE_ID_CHARACTERS = 256
const MAX_CERTIFICATE_BYTES = 1024
const MAX_FIELD_BYTES = 1024
/** 9999-12-31T23:59:59.999Z, the last moment a certificate can name. */
const MAX_TIMESTAMP_MS = 253402300799999

/** The name of the PCR map and the number of PCRs of each kind. */
const KINDS = {
  'nitro-enclave': { field: 'pcrs', count: 32 },
  'nitro-tpm': { field: 'nitrotpm_pcrs', count: 24 },
} as const satisfies Record<DocumentKind, { field: string; count: number }>

const REQUIRED = ['module_id', 'digest', 'timestamp', 'certificate', 'cabundle']
const OPTIONAL = ['public_key', 'user_data', 'nonce']

/**
 * Decodes the payload of a document. The map may be definite, or `bf … ff` as AWS's are since 2025.
 * @throws AttestationError ERR_CBOR_*, ERR_DOCUMENT_FIELD with `details.field`.
 */
export function decodePayload(bytes: Uint8Array): Payload {
  const options = { maxBytes: MAX_PAYLOAD_BYTES, maxItems: 256, maxDepth: 2 }
  const payload = decodeCbor(bytes, { ...options, indefiniteTopLevelMap: true })
  check(isMap(payload), 'ERR_DOCUMENT_FIELD', 'the payload is not a map', { field: null })
  const kind = payload.has(KINDS['nitro-tpm'].field) ? 'nitro-tpm' : 'nitro-enclave'
  checkFieldNames(payload, kind)
  field(payload.get('digest') === 'SHA384', 'digest', 'is not SHA384')
  return {
    kind,
    moduleId: readModuleId(payload.get('module_id')),
    timestampMs: readTimestamp(payload.get('timestamp')),
    pcrs: readPcrs(payload, kind),
    certificate: readCertificate(payload.get('certificate'), 'certificate'),
    cabundle: readCabundle(payload.get('cabundle')),
    publicKey: readOptional(payload, 'public_key', 1),
    userData: readOptional(payload, 'user_data', 0),
    nonce: readOptional(payload, 'nonce', 0),
  }
}

function checkFieldNames(payload: CborMap, kind: DocumentKind): void {
  const required = [...REQUIRED, KINDS[kind].field]
  for (const name of required) field(payload.has(name), name, 'is missing')
  for (const name of payload.keys()) {
    const known = required.includes(String(name)) || OPTIONAL.includes(String(name))
    field(known && typeof name === 'string', String(name), 'is not a known field')
  }
}

function readModuleId(value: CborValue | undefined): string {
  const right =
    typeof value === 'string' && value !== '' && value.length <= MAX_MODULE_ID_CHARACTERS
  field(right, 'module_id', `is not a text of 1 to ${MAX_MODULE_ID_CHARACTERS} characters`)
  return value
}

function readTimestamp(value: CborValue | undefined): number {
  const right = typeof value === 'number' && value > 0 && value <= MAX_TIMESTAMP_MS
  field(right, 'timestamp', 'is not a positive number of milliseconds')
  return value
}

function readPcrs(payload: CborMap, kind: DocumentKind): ReadonlyMap<number, Uint8Array> {
  const { field: name, count } = KINDS[kind]
  const entries = payload.get(name)
  field(isMap(entries) && entries.size >= 1 && entries.size <= count, name, 'is not a map of PCRs')
  const pcrs = new Map<number, Uint8Array>()
  for (const [index, value] of entries) {
    const inRange = typeof index === 'number' && index >= 0 && index < count
    if (!inRange) throw wrongField(name, `has the index ${index}`)
    const right = isBytes(value) && value.length === SHA384_BYTES
    if (!right) throw wrongField(name, `has a PCR${index} that is not ${SHA384_BYTES} bytes`)
    pcrs.set(index, value)
  }
  return pcrs
}

function readCabundle(value: CborValue | undefined): readonly Uint8Array[] {
  field(isArray(value) && value.length > 0, 'cabundle', 'is not a non-empty array')
  return value.map((certificate) => readCertificate(certificate, 'cabundle'))
}

function readCertificate(value: CborValue | undefined, name: string): Uint8Array {
  const right = isBytes(value) && value.length >= 1 && value.length <= MAX_CERTIFICATE_BYTES
  field(right, name, `is not 1 to ${MAX_CERTIFICATE_BYTES} bytes`)
  return value
}

/** AWS encodes an absent field as null; an absent key means the same. Empty bytes are not absent. */
function readOptional(payload: CborMap, name: string, minBytes: number): Uint8Array | null {
  const value = payload.get(name) ?? null
  if (value === null) return null
  const right = isBytes(value) && value.length >= minBytes && value.length <= MAX_FIELD_BYTES
  field(right, name, `is neither null nor ${minBytes} to ${MAX_FIELD_BYTES} bytes`)
  return value
}

function field(condition: boolean, name: string, problem: string): asserts condition {
  if (!condition) throw wrongField(name, problem)
}

function wrongField(name: string, problem: string): AttestationError {
  const details = { field: name }
  return new AttestationError('ERR_DOCUMENT_FIELD', `field ${name} ${problem}`, { details })
}
