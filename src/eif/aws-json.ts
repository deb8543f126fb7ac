// JSON as AWS's tools write it into an image (serde_json): compact, keys in the order of their UTF-8
// bytes, doubles in its spelling. A number that it would change is kept as it was written instead, and
// what its reader would refuse is refused here.

import { check } from '../errors.ts'
import { JsonNumber } from '../exact-json.ts'

const CODE = 'ERR_EIF_METADATA'

/** @throws ERR_EIF_METADATA for a number that no double holds, and for half a character */
export function encodeAwsJson(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return encodeText(value)
  if (typeof value === 'number') return encodeNumber(String(value))
  if (value instanceof JsonNumber) return encodeNumber(value.text)
  if (Array.isArray(value)) return `[${value.map(encodeAwsJson).join(',')}]`
  const entries = Object.entries(value as object)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => {
      return { order: Buffer.from(key), text: `${encodeText(key)}:${encodeAwsJson(item)}` }
    })
  entries.sort((a, b) => Buffer.compare(a.order, b.order))
  return `{${entries.map(({ text }) => text).join(',')}}`
}

function encodeText(text: string): string {
  const message = 'the metadata contains a lone surrogate (half a character)'
  check(!/\p{Surrogate}/u.test(text), CODE, message, { details: { text } })
  return JSON.stringify(text)
}

const I64_MIN = -(2n ** 63n)
const U64_MAX = 2n ** 64n - 1n

function encodeNumber(text: string): string {
  if (/^(0|-?[1-9]\d{0,19})$/.test(text)) {
    const integer = BigInt(text)
    if (integer >= I64_MIN && integer <= U64_MAX) return text
  }
  const double = Number(text)
  const shown = text.slice(0, 40)
  check(Number.isFinite(double), CODE, `the metadata has a number that is too large: ${shown}`, {
    details: { number: shown },
  })
  const spelled = spellDouble(double)
  return normalise(text) === normalise(spelled) ? spelled : text
}

/** Outside these powers of ten serde_json writes an exponent. */
const PLAIN_POWERS = { min: -5, max: 15 } as const

function spellDouble(double: number): string {
  const sign = double < 0 || Object.is(double, -0) ? '-' : ''
  if (double === 0) return `${sign}0.0`
  // The fewest digits that give this double again.
  const [mantissa = '', exponent = ''] = Math.abs(double).toExponential().split('e')
  const power = Number(exponent)
  const { min, max } = PLAIN_POWERS
  if (power < min || power > max) return `${sign}${mantissa}e${exponent}`
  const digits = mantissa.replace('.', '')
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${digits}`
  const whole = digits.slice(0, power + 1).padEnd(power + 1, '0')
  return `${sign}${whole}.${digits.slice(power + 1) || '0'}`
}

/** Sign, digits without zeros around them, and the power of ten of the last. */
function normalise(text: string): string {
  const [, sign = '', whole = '', fraction = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  const digits = (whole + fraction).replace(/^0+/, '')
  const kept = digits.replace(/0+$/, '')
  if (kept === '') return `${sign}0`
  return `${sign}${kept}e${String(Number(power) - fraction.length + digits.length - kept.length)}`
}
