// cbor-x set up so that it writes plain CBOR: byte strings without tags, Maps as maps in insertion
// order, no records. A bigint is written with 8 bytes, as AWS writes the timestamp.

import { Encoder } from 'cbor-x'

export type CborInput =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly CborInput[]
  | ReadonlyMap<string | number, CborInput>

const encoder = new Encoder({ useRecords: false, mapsAsObjects: false, tagUint8Array: false })

/**
 * Encodes a value as CBOR (RFC 8949); maps keep their order. An integer that may reach 2^32 is
 * passed as a bigint: as a number it would become a 64-bit float.
 */
export function encodeCbor(value: CborInput): Uint8Array {
  // A copy: the encoder hands out pieces of a buffer that it goes on writing to.
  return new Uint8Array(encoder.encode(value))
}

/** A map with text keys, in the order given. */
export function cborMap(fields: Readonly<Record<string, CborInput>>): CborInput {
  return new Map(Object.entries(fields))
}
