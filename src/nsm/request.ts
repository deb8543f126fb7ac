// Decodes a guest's request. Strict about the CBOR encoding, lenient about what AWS's and QEMU's
// NSMs take too: text where bytes belong, absent or unknown fields, integers of any size.

import {
  decodeCbor,
  isBytes,
  isMap,
  type CborMap,
  type CborValue,
} from '@cloister/attestation/cbor'
import { MAX_FIELD_BYTES, MAX_REQUEST_BYTES, PCR_COUNT, refuse } from './protocol.ts'
import type { NsmRefusal, NsmRequest } from './protocol.ts'

type Decoded = NsmRequest | NsmRefusal

/** The request, or how to refuse it. Never throws: the bytes are hostile. */
export function decodeRequest(bytes: Uint8Array): Decoded {
  if (bytes.length > MAX_REQUEST_BYTES) return refuse('InputTooLarge')
  const message = decodeMessage(bytes)
  if (message === 'DescribeNSM' || message === 'GetRandom') return { type: message }
  const entries = isMap(message) ? [...message] : []
  const [[name, fields] = []] = entries
  if (entries.length !== 1 || !isMap(fields)) return refuse('InvalidOperation')
  return decodeFields(name, fields)
}

// Undecodable bytes are an unknown operation, as on QEMU's NSM.
function decodeMessage(bytes: Uint8Array): CborValue | undefined {
  try {
    return decodeCbor(bytes)
  } catch {
    return undefined
  }
}

function decodeFields(name: CborValue | undefined, fields: CborMap): Decoded {
  switch (name) {
    case 'DescribePCR':
    case 'LockPCR':
      return withIndex(fields, (index) => ({ type: name, index }))
    case 'ExtendPCR':
      return withIndex(fields, (index) => decodeExtend(index, fields))
    case 'LockPCRs':
      return decodeLockRange(fields)
    case 'Attestation':
      return decodeAttestation(fields)
    default:
      return refuse('InvalidOperation')
  }
}

function withIndex(fields: CborMap, make: (index: number) => Decoded): Decoded {
  const index = unsigned(fields.get('index'))
  if (index === undefined) return refuse('InvalidOperation')
  return index < PCR_COUNT ? make(index) : refuse('InvalidIndex')
}

function decodeExtend(index: number, fields: CborMap): Decoded {
  const data = byteString(fields.get('data'))
  if (!data) return refuse('InvalidOperation')
  if (data.length === 0) return refuse('InvalidArgument')
  if (data.length > MAX_FIELD_BYTES) return refuse('InputTooLarge')
  return { type: 'ExtendPCR', index, data }
}

function decodeLockRange(fields: CborMap): Decoded {
  const range = unsigned(fields.get('range'))
  if (range === undefined) return refuse('InvalidOperation')
  return range <= PCR_COUNT ? { type: 'LockPCRs', range } : refuse('InvalidIndex')
}

function decodeAttestation(fields: CborMap): Decoded {
  const given = ['user_data', 'nonce', 'public_key'].map((key) => fields.get(key) ?? null)
  const values = given.map((value) => (value === null ? null : byteString(value)))
  if (values.includes(undefined)) return refuse('InvalidOperation')
  if (values.some((value) => (value?.length ?? 0) > MAX_FIELD_BYTES)) return refuse('InputTooLarge')
  const [userData = null, nonce = null, publicKey = null] = values
  return { type: 'Attestation', userData, nonce, publicKey }
}

function unsigned(value: CborValue | undefined): number | undefined {
  const integer = typeof value === 'bigint' || typeof value === 'number'
  return integer && value >= 0 && Number.isInteger(Number(value)) ? Number(value) : undefined
}

function byteString(value: CborValue | undefined): Uint8Array | undefined {
  if (typeof value === 'string') return new TextEncoder().encode(value)
  return isBytes(value) ? value : undefined
}
