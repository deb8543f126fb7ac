// Measurements: the PCR values that a build publishes and that a verifier accepts. The form is that
// of `nitro-cli build-enclave`, with or without its outer `Measurements` object.

import { toHex } from './bytes.ts'
import { AttestationError, check } from './errors.ts'

/** Accepted values: `PCR0` to `PCR31`, 96 hexadecimal digits each, either case. All must match. */
export interface MeasurementSet {
  readonly [pcr: `PCR${number}`]: string
  /** As nitro-cli writes it, e.g. `Sha384 { ... }`; not compared. */
  readonly HashAlgorithm?: string
}

/** What `nitro-cli build-enclave` prints. */
export interface NitroCliMeasurements {
  readonly Measurements: MeasurementSet
}

/** One accepted set, or several of which any may match as a whole. */
export type Measurements =
  MeasurementSet | NitroCliMeasurements | readonly (MeasurementSet | NitroCliMeasurements)[]

/** One accepted set: lower-case hexadecimal values by index. */
export type AcceptedPcrs = ReadonlyMap<number, string>

const PCR_NAME = /^PCR(0|[1-9]|[12][0-9]|3[01])$/
const PCR_VALUE = /^[0-9a-fA-F]{96}$/

/**
 * Reads one or several sets.
 * @throws AttestationError ERR_MEASUREMENTS_FORMAT on anything but PCR values, or on nothing at all:
 * an empty set would accept every document.
 */
export function parseMeasurements(measurements: unknown): readonly AcceptedPcrs[] {
  const sets: readonly unknown[] = Array.isArray(measurements) ? measurements : [measurements]
  check(sets.length > 0, 'ERR_MEASUREMENTS_FORMAT', 'no set of measurements')
  return sets.map(parseSet)
}

/**
 * Requires that one of the sets matches as a whole, and returns the indices of its PCRs.
 * @throws AttestationError ERR_PCR_MISMATCH or ERR_PCR_MISSING about the first difference from the
 * set that comes closest.
 */
export function matchMeasurements(
  pcrs: ReadonlyMap<number, Uint8Array>,
  accepted: readonly AcceptedPcrs[],
): readonly number[] {
  const compared = accepted.map((set) => ({ set, failures: differences(pcrs, set) }))
  const closest = compared.reduce((a, b) => (b.failures.length < a.failures.length ? b : a))
  const [first] = closest.failures
  if (first) throw first
  return [...closest.set.keys()]
}

function parseSet(value: unknown): AcceptedPcrs {
  const outer = asObject(value)
  const wrapped = Object.hasOwn(outer, 'Measurements')
  const set = wrapped ? asObject(outer['Measurements']) : outer
  const values: [number, string][] = []
  // Inherited ones too: a PCR must not get lost.
  for (const name in set) if (name !== 'HashAlgorithm') values.push(parseEntry(name, set[name]))
  check(values.length > 0, 'ERR_MEASUREMENTS_FORMAT', 'a set of measurements is empty')
  return new Map(values)
}

function parseEntry(name: string, value: unknown): [number, string] {
  const index = PCR_NAME.exec(name)?.[1]
  check(index !== undefined, 'ERR_MEASUREMENTS_FORMAT', `${name} is not PCR0 to PCR31`, { name })
  const right = typeof value === 'string' && PCR_VALUE.test(value)
  check(right, 'ERR_MEASUREMENTS_FORMAT', `${name} is not 96 hexadecimal digits`, { name })
  return [Number(index), value.toLowerCase()]
}

function asObject(value: unknown): Record<string, unknown> {
  const right = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(right, 'ERR_MEASUREMENTS_FORMAT', 'measurements are not an object')
  return value as Record<string, unknown>
}

function differences(
  pcrs: ReadonlyMap<number, Uint8Array>,
  accepted: AcceptedPcrs,
): readonly AttestationError[] {
  return [...accepted].flatMap(([pcr, expected]) => {
    const value = pcrs.get(pcr)
    const actual = value ? toHex(value) : null
    return actual === expected ? [] : [mismatch(pcr, expected, actual)]
  })
}

function mismatch(pcr: number, expected: string, actual: string | null): AttestationError {
  const details = { pcr, expected, actual }
  if (actual !== null) {
    const message = `PCR${pcr} is ${actual}, expected ${expected}`
    return new AttestationError('ERR_PCR_MISMATCH', message, { details })
  }
  const message = `PCR${pcr} is not in the document, expected ${expected}`
  return new AttestationError('ERR_PCR_MISSING', message, { details })
}
