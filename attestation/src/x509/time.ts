// Times of certificates (RFC 5280 section 4.1.2.5): UTCTime up to 2049, GeneralizedTime from 2050.

import { check } from '../errors.ts'
import type { DerReader } from './der.ts'
import { TAG } from './der.ts'

const UTC_TIME_CHARACTERS = 13
const GENERALIZED_TIME_CHARACTERS = 15
const ZERO = 0x30
const Z = 0x5a
const BAD_FORM = ['ERR_X509_FORMAT', 'a time is not in the form of RFC 5280'] as const

/**
 * Reads a Time: milliseconds since the epoch.
 * @throws AttestationError ERR_DER_INVALID, ERR_X509_FORMAT.
 */
export function readTime(reader: DerReader): number {
  const general = reader.hasNext(TAG.generalizedTime)
  const text = reader.next(general ? TAG.generalizedTime : TAG.utcTime)
  const length = general ? GENERALIZED_TIME_CHARACTERS : UTC_TIME_CHARACTERS
  check(text.length === length && text[length - 1] === Z, ...BAD_FORM)
  const year = general ? 100 * pair(text, 0) + pair(text, 2) : fullYear(pair(text, 0))
  check(!general || year >= 2050, 'ERR_X509_FORMAT', 'GeneralizedTime before 2050')
  return momentOf(year, text.subarray(length - 11))
}

function fullYear(lastDigits: number): number {
  return lastDigits + (lastDigits < 50 ? 2000 : 1900)
}

/** `rest` is month, day, hour, minute and second; none may overflow, as February 30 does. */
function momentOf(year: number, rest: Uint8Array): number {
  const [month, day] = [pair(rest, 0) - 1, pair(rest, 2)]
  const [hour, minute, second] = [pair(rest, 4), pair(rest, 6), pair(rest, 8)]
  const timeMs = Date.UTC(year, month, day, hour, minute, second)
  const date = new Date(timeMs)
  const exists =
    date.getUTCMonth() === month &&
    date.getUTCDate() === day &&
    hour < 24 &&
    minute < 60 &&
    second < 60
  check(exists, 'ERR_X509_FORMAT', 'a time does not exist')
  return timeMs
}

/** The number of two decimal digits. */
function pair(text: Uint8Array, at: number): number {
  return 10 * digit(text[at]) + digit(text[at + 1])
}

function digit(character = 0): number {
  const value = character - ZERO
  check(value >= 0 && value <= 9, ...BAD_FORM)
  return value
}
