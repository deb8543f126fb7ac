// Times of certificates (RFC 5280 section 4.1.2.5): UTCTime up to 2049, GeneralizedTime from 2050.

import { check } from '../errors.ts'
import type { DerReader } from './der.ts'
import { TAG } from './der.ts'

const UTC_TIME = /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/
const GENERALIZED_TIME = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/

/**
 * Reads a Time: milliseconds since the epoch.
 * @throws AttestationError ERR_DER_INVALID, ERR_X509_FORMAT.
 */
export function readTime(reader: DerReader): number {
  const general = reader.hasNext(TAG.generalizedTime)
  const { contents } = reader.next(general ? TAG.generalizedTime : TAG.utcTime)
  const text = String.fromCharCode(...contents)
  const match = (general ? GENERALIZED_TIME : UTC_TIME).exec(text)
  check(match !== null, 'ERR_X509_FORMAT', 'a time is not in the form of RFC 5280')
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map(Number)
  const fullYear = general ? year : year + (year < 50 ? 2000 : 1900)
  check(!general || year >= 2050, 'ERR_X509_FORMAT', 'GeneralizedTime before 2050')
  const timeMs = Date.UTC(fullYear, month - 1, day, hour, minute, second)
  const iso = [fullYear, month, day, hour, minute, second]
  check(sameFields(new Date(timeMs), iso), 'ERR_X509_FORMAT', 'a time does not exist')
  return timeMs
}

/** Whether no field overflowed into the next, as in February 30. */
function sameFields(date: Date, fields: readonly number[]): boolean {
  const actual = [
    date.getUTCFullYear(),
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
  ]
  return actual.every((value, i) => value === fields[i])
}
