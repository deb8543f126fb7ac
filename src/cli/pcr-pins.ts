// `verify --pcr 16=<value>`: single PCRs that a document must have, beside those of --measurements.

import type { Measurements } from '@cloister/attestation'
import { InvalidArgumentError, Option } from 'commander'
import { CloisterError } from '../errors.ts'

/** `PCR16` and so on, and 96 hexadecimal digits. */
export type PcrPins = Readonly<Record<string, string>>

const PIN = /^(?:PCR)?(\d|[12]\d|3[01])=([0-9a-f]{96})$/i

/** `--pcr`, which may be given several times. */
export function pcrOption(): Option {
  return new Option(
    '--pcr <n=value...>',
    'a PCR value that the document must have, 96 hexadecimal digits (repeatable)',
  ).argParser(addPin)
}

function addPin(text: string, pins: PcrPins = {}): PcrPins {
  const [, number, value] = PIN.exec(text) ?? []
  if (number === undefined || value === undefined)
    throw new InvalidArgumentError(
      'It must be a number from 0 to 31, =, and 96 hexadecimal digits.',
    )
  const name = `PCR${number}`
  if (Object.hasOwn(pins, name)) throw new InvalidArgumentError(`${name} is named twice.`)
  return { ...pins, [name]: value.toLowerCase() }
}

/**
 * Measurements with the pins in every accepted set.
 *
 * @param measurements - As in the file; the verifier refuses malformed ones.
 * @throws `ERR_CLI_ARGUMENT` when both name a PCR.
 */
export function withPins(
  measurements: Measurements | undefined,
  pins: PcrPins | undefined,
): Measurements | undefined {
  if (pins === undefined) return measurements
  if (measurements === undefined) return pins
  const sets: readonly unknown[] = Array.isArray(measurements) ? measurements : [measurements]
  return sets.map((set) => addTo(set, pins)) as Measurements
}

function addTo(set: unknown, pins: PcrPins): unknown {
  if (typeof set !== 'object' || set === null) return set
  const outer = set as Readonly<Record<string, unknown>>
  if (Object.hasOwn(outer, 'Measurements'))
    return { ...outer, Measurements: addTo(outer['Measurements'], pins) }
  const twice = Object.keys(pins).find((name) => Object.hasOwn(outer, name))
  if (twice === undefined) return { ...outer, ...pins }
  throw new CloisterError('ERR_CLI_ARGUMENT', `--pcr and --measurements both have ${twice}`)
}
