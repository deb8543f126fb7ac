// `--since` of logs and events: a time, or how long ago.

import { InvalidArgumentError } from 'commander'

const MS_PER: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** ms since 1970 of an RFC 3339 time, or of so long ago: `90s`, `10m`, `2h`, `1d`. */
export function parseSince(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const ago = Number(digits) * (MS_PER[unit ?? ''] ?? NaN)
  const time = digits === undefined ? Date.parse(text) : Date.now() - ago
  const isAbsolute = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)
  if (Number.isFinite(time) && (digits !== undefined || isAbsolute)) return time
  throw new InvalidArgumentError(
    'It must be a time such as 2026-01-31T12:00:00Z, or 90s, 10m, 2h, 1d.',
  )
}
