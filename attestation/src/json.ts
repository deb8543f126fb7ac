// What JSON.stringify makes of results: byte strings as lower-case hexadecimal text.

import { toHex } from './bytes.ts'

/** A value as JSON has it: every byte string in it is lower-case hexadecimal text. */
export type JsonOf<T> = T extends Uint8Array
  ? string
  : T extends readonly (infer Item)[]
    ? readonly JsonOf<Item>[]
    : T extends object
      ? { readonly [Name in keyof T]: JsonOf<T[Name]> }
      : T

/** Has {@link JsonOf} as its JSON. */
export interface Jsonable<T> {
  /** Called by JSON.stringify. */
  toJSON(): JsonOf<T>
}

/** Adds `toJSON`, which is not enumerable: copies and structured clones are plain data. */
export function jsonable<T extends object>(value: T): T & Jsonable<T> {
  return Object.defineProperty(value, 'toJSON', { value: () => jsonOf(value) }) as T & Jsonable<T>
}

function jsonOf<T>(value: T): JsonOf<T>
function jsonOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map((item: unknown) => jsonOf(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, jsonOf(part)]))
}
