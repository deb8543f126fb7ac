// Reads what an image says of its manifest, field by field. Hostile input.

import { check } from '../errors.ts'

export function asObject(value: unknown, name: string): Readonly<Record<string, unknown>> {
  demand(typeof value === 'object' && value !== null && !Array.isArray(value), name)
  return value as Readonly<Record<string, unknown>>
}

export function asList(value: unknown, maxItems: number, name: string): readonly unknown[] {
  demand(Array.isArray(value) && value.length <= maxItems, name)
  return value as readonly unknown[]
}

export function asWhole(value: unknown, max: number, name: string): number {
  demand(typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max, name)
  return value
}

export function demand(condition: boolean, name: string): asserts condition {
  check(condition, 'ERR_EIF_MANIFEST', `the image's manifest is malformed: ${name}`)
}
