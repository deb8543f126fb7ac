// Time rules. One moment counts for a whole verification: certificates are checked at it, and the
// age of the document is measured from it.

import { check } from './errors.ts'
import type { Policy } from './options.ts'

type TimePolicy = Pick<Policy, 'at' | 'maxAgeMs' | 'clockSkewMs'>

/**
 * The moment of verification in milliseconds: the document's own time in replay mode, else the
 * caller's clock. A clock that is behind the document by no more than `clockSkewMs` is moved up to
 * it, because a leaf begins only seconds before its first document.
 * @throws AttestationError ERR_DOCUMENT_FROM_FUTURE.
 */
export function momentOf(timestampMs: number, { at, clockSkewMs }: TimePolicy): number {
  if (at === 'document') return timestampMs
  const clockMs = at === 'now' ? Date.now() : at.getTime()
  const aheadMs = timestampMs - clockMs
  check(
    aheadMs <= clockSkewMs,
    'ERR_DOCUMENT_FROM_FUTURE',
    `the document was made ${duration(aheadMs)} in the future, ${duration(clockSkewMs)} at most is accepted`,
    { aheadMs, clockSkewMs },
  )
  return Math.max(clockMs, timestampMs)
}

/**
 * Requires that a verified document is not older than `maxAgeMs`.
 * @throws AttestationError ERR_DOCUMENT_TOO_OLD.
 */
export function checkAge(timestampMs: number, atMs: number, { maxAgeMs }: TimePolicy): void {
  const ageMs = atMs - timestampMs
  check(
    ageMs <= maxAgeMs,
    'ERR_DOCUMENT_TOO_OLD',
    `the document is ${duration(ageMs)} old, ${duration(maxAgeMs)} at most is accepted`,
    { ageMs, maxAgeMs },
  )
}

const UNITS = [
  ['days', 86_400_000],
  ['hours', 3_600_000],
  ['minutes', 60_000],
  ['seconds', 1000],
] as const

/** A time span for people, to a tenth of the largest unit of which there are two or more. */
function duration(ms: number): string {
  const [unit, size] = UNITS.find(([, unitMs]) => ms >= 2 * unitMs) ?? ['seconds', 1000]
  return `${Math.round((ms / size) * 10) / 10} ${unit}`
}
