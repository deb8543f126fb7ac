// Reads the JSON documents of an OCI image (image-spec: index, manifest, config), which come from
// outside: every field is checked for its type before it is used.

import { DOCUMENT_BOUNDS, parseBoundedJson } from '../../bounded-json.ts'
import { check } from '../../errors.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** @throws ERR_IMAGE_LAYOUT */
export function parseJsonObject(bytes: Uint8Array, name: string): JsonObject {
  const bounds = { ...DOCUMENT_BOUNDS, code: 'ERR_IMAGE_LAYOUT', name } as const
  return asObject(parseBoundedJson(bytes, bounds), name)
}

/** @throws ERR_IMAGE_LAYOUT */
export function parseJsonList(bytes: Uint8Array, name: string): readonly unknown[] {
  const bounds = { ...DOCUMENT_BOUNDS, code: 'ERR_IMAGE_LAYOUT', name } as const
  return asList(parseBoundedJson(bytes, bounds), name)
}

/**
 * The value if it is a JSON object.
 *
 * @throws `ERR_IMAGE_LAYOUT` with `name` in its message and details
 */
export function asObject(value: unknown, name: string): JsonObject {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  checkField(isObject, name, 'an object')
  return value as JsonObject
}

/**
 * The value if it is a string.
 *
 * @throws `ERR_IMAGE_LAYOUT` with `name` in its message and details
 */
export function asText(value: unknown, name: string): string {
  checkField(typeof value === 'string', name, 'text')
  return value as string
}

/** Go's encoders write an absent list as null. */
export function asList(value: unknown, name: string): readonly unknown[] {
  const list = value ?? []
  checkField(Array.isArray(list), name, 'a list')
  return list as readonly unknown[]
}

/**
 * The value if it is a list of strings; null and undefined count as an empty list.
 *
 * @throws `ERR_IMAGE_LAYOUT` with `name` in its message and details
 */
export function asTextList(value: unknown, name: string): readonly string[] {
  return asList(value, name).map((item) => asText(item, name))
}

/**
 * The value if it is a whole number from 0 to 2^53 - 1.
 *
 * @throws `ERR_IMAGE_LAYOUT` with `name` in its message and details
 */
export function asSize(value: unknown, name: string): number {
  checkField(Number.isSafeInteger(value) && (value as number) >= 0, name, 'a size')
  return value as number
}

function checkField(condition: boolean, name: string, expected: string): void {
  check(condition, 'ERR_IMAGE_LAYOUT', `${name} is not ${expected}`, { details: { field: name } })
}
