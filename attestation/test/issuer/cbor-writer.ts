// Writes CBOR for tests: definite, shortest form, in the order given.

import { concatBytes } from '../../src/bytes.ts'

export type Encodable =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | readonly Encodable[]
  | ReadonlyMap<Encodable, Encodable>

/** The head of an item: major type and argument. */
export function head(major: number, argument: number | bigint): Uint8Array {
  const value = BigInt(argument)
  if (value < 24n) return Uint8Array.of((major << 5) | Number(value))
  const sizeLog2 = value < 0x100n ? 0 : value < 0x1_0000n ? 1 : value < 0x1_0000_0000n ? 2 : 3
  const bytes = new Uint8Array(1 + (1 << sizeLog2))
  bytes[0] = (major << 5) | (24 + sizeLog2)
  for (let i = bytes.length - 1, rest = value; i > 0; i--, rest >>= 8n)
    bytes[i] = Number(rest & 255n)
  return bytes
}

export function encodeCbor(value: Encodable): Uint8Array<ArrayBuffer> {
  if (value === null) return Uint8Array.of(0xf6)
  if (typeof value === 'boolean') return Uint8Array.of(value ? 0xf5 : 0xf4)
  if (typeof value === 'number' || typeof value === 'bigint') return concatBytes(integer(value))
  if (typeof value === 'string') return text(value)
  if (value instanceof Uint8Array) return concatBytes(head(2, value.length), value)
  if (value instanceof Map) {
    const entries = [...value].flat() as Encodable[]
    return concatBytes(head(5, value.size), ...entries.map(encodeCbor))
  }
  const items = value as readonly Encodable[]
  return concatBytes(head(4, items.length), ...items.map(encodeCbor))
}

function integer(value: number | bigint): Uint8Array {
  const wide = BigInt(value)
  return wide >= 0n ? head(0, wide) : head(1, -1n - wide)
}

function text(value: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(value)
  return concatBytes(head(3, bytes.length), bytes)
}
