// Decodes a guest's request, as lenient as QEMU's NSM (hw/virtio/virtio-nsm.c): any well-formed CBOR,
// text where bytes belong, absent or unknown fields, bytes after the request, integers of any width. Of a
// field that occurs twice the first counts, in ExtendPCR and Attestation the last. Beyond QEMU: tags are
// passed over, and integers and text may have any encoding.

import { MAX_FIELD_BYTES, MAX_REQUEST_BYTES, PCR_COUNT, refuse } from './protocol.ts'
import type { NsmRefusal, NsmRequest } from './protocol.ts'
import { decodeItem, isEntries, type Entries, type Item } from './request-cbor.ts'

type Decoded = NsmRequest | NsmRefusal

/** The request, or how to refuse it. Never throws: the bytes are hostile. */
export function decodeRequest(bytes: Uint8Array): Decoded {
  if (bytes.length > MAX_REQUEST_BYTES) return refuse('InputTooLarge')
  const message = decodeMessage(bytes)
  if (message === 'DescribeNSM' || message === 'GetRandom') return { type: message }
  if (!isEntries(message) || message.length !== 1) return refuse('InvalidOperation')
  const [[name, fields] = []] = message
  return isEntries(fields) ? decodeFields(name, fields) : refuse('InvalidOperation')
}

// Malformed bytes are an unknown operation, as on QEMU's NSM.
function decodeMessage(bytes: Uint8Array): Item | undefined {
  try {
    return decodeItem(bytes)
  } catch {
    return undefined
  }
}

function decodeFields(name: Item | undefined, fields: Entries): Decoded {
  switch (name) {
    case 'DescribePCR':
    case 'LockPCR':
      return withIndex(first(fields, 'index'), (index) => ({ type: name, index }))
    case 'ExtendPCR':
      return withIndex(last(fields, 'index'), (index) => decodeExtend(index, fields))
    case 'LockPCRs':
      return decodeLockRange(fields)
    case 'Attestation':
      return decodeAttestation(fields)
    default:
      return refuse('InvalidOperation')
  }
}

function withIndex(item: Item | undefined, make: (index: number) => Decoded): Decoded {
  const index = unsigned(item)
  if (index === undefined) return refuse('InvalidOperation')
  return index < PCR_COUNT ? make(index) : refuse('InvalidIndex')
}

function decodeExtend(index: number, fields: Entries): Decoded {
  const data = byteString(last(fields, 'data'))
  if (!data) return refuse('InvalidOperation')
  if (data.length === 0) return refuse('InvalidArgument')
  if (data.length > MAX_FIELD_BYTES) return refuse('InputTooLarge')
  return { type: 'ExtendPCR', index, data }
}

function decodeLockRange(fields: Entries): Decoded {
  const range = unsigned(first(fields, 'range'))
  if (range === undefined) return refuse('InvalidOperation')
  return range <= PCR_COUNT ? { type: 'LockPCRs', range } : refuse('InvalidIndex')
}

function decodeAttestation(fields: Entries): Decoded {
  const given = ['user_data', 'nonce', 'public_key'].map((key) => last(fields, key) ?? null)
  const values = given.map((value) => (value === null ? null : byteString(value)))
  if (values.includes(undefined)) return refuse('InvalidOperation')
  if (values.some((value) => (value?.length ?? 0) > MAX_FIELD_BYTES)) return refuse('InputTooLarge')
  const [userData = null, nonce = null, publicKey = null] = values
  return { type: 'Attestation', userData, nonce, publicKey }
}

function first(fields: Entries, wanted: string): Item | undefined {
  return fields.find(([key]) => key === wanted)?.[1]
}

function last(fields: Entries, wanted: string): Item | undefined {
  return fields.findLast(([key]) => key === wanted)?.[1]
}

function unsigned(item: Item | undefined): number | undefined {
  if (typeof item !== 'number' && typeof item !== 'bigint') return undefined
  return item >= 0 ? Number(item) : undefined
}

function byteString(item: Item | undefined): Uint8Array | undefined {
  if (typeof item === 'string') return Buffer.from(item, 'latin1')
  return item instanceof Uint8Array ? item : undefined
}
