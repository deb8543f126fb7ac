// The data model of the decoder: RFC 8949 section 2 without floats, undefined and simple values.

/** A map key: integers and text strings only. */
export type CborKey = number | bigint | string

/** A map in the order it was encoded. */
export type CborMap = ReadonlyMap<CborKey, CborValue>

/** A tagged item; only tags listed in `tags` are decoded. */
export interface CborTagged {
  readonly tag: number
  readonly value: CborValue
}

/**
 * A decoded item. Integers are `bigint` only outside the safe integers; byte strings are views into
 * the input, not copies.
 */
export type CborValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | readonly CborValue[]
  | CborMap
  | CborTagged

/** Whether an item is a byte string. */
export function isBytes(value: CborValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array
}

/** Whether an item is an array. */
export function isArray(value: CborValue | undefined): value is readonly CborValue[] {
  return Array.isArray(value)
}

/** Whether an item is a map. */
export function isMap(value: CborValue | undefined): value is CborMap {
  return value instanceof Map
}

/** Whether an item is a tagged item. */
export function isTagged(value: CborValue | undefined): value is CborTagged {
  return typeof value === 'object' && value !== null && 'tag' in value
}
