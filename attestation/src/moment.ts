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
    `the document was made ${aheadMs} ms in the future, at most ${clockSkewMs} ms are accepted`,
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
    `the document is ${ageMs} ms old, at most ${maxAgeMs} ms are accepted`,
    { ageMs, maxAgeMs },
  )
}
