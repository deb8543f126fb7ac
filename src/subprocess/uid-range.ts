// The numbers that parts run as, and whether they are taken: a directory service (FreeIPA, SSSD) or
// /etc/subuid may give out the same range.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { CloisterError } from '../errors.ts'

/** The uids from `first` to `first + count - 1`. */
export interface UidRange {
  readonly first: number
  readonly count: number
}

/** One for the host chip's TPM, then five for each keeper, by its pid. */
export const UIDS_PER_KEEPER = 5
/** systemd docs/UIDS-GIDS.md: 1879048192 to 2147483647 is unused. Linux's PID_MAX_LIMIT is 2^22. */
const DEFAULT: UidRange = { first: 1_899_999_999, count: 1 + UIDS_PER_KEEPER * 2 ** 22 }
/** A directory service that hangs holds up no launch. */
const LOOKUP_MS = 3000

/**
 * `CLOISTER_UID_RANGE=first:count`, else 1899999999 and up.
 *
 * @throws `ERR_KEEPER_USERS` when it is malformed, or too small for this host's pids.
 */
export function uidRange(env: NodeJS.ProcessEnv = process.env): UidRange {
  const text = env['CLOISTER_UID_RANGE']
  if (text === undefined) return DEFAULT
  const [, first = '', count = ''] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? []
  const range = { first: Number(first), count: Number(count) }
  const needed = 1 + UIDS_PER_KEEPER * Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'))
  if (range.first >= 1000 && range.count >= needed && range.first + range.count <= 2 ** 32 - 2)
    return range
  throw refused(`CLOISTER_UID_RANGE=${text} is not a range of ${String(needed)} user ids or more`, {
    range: text,
    needed,
  })
}

/**
 * Whether this process can run others as any user of the range: root of a user namespace has only the users that
 * its map names (user_namespaces(7)).
 */
export function canChangeUsers(): boolean {
  if (process.getuid?.() !== 0) return false
  const wanted = uidRange()
  const ranges = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n')
  return ranges.some((range) => {
    const [first = 0, , count = 0] = range.trim().split(/\s+/).map(Number)
    return first <= wanted.first && first + count >= wanted.first + wanted.count
  })
}

/**
 * Checks that nobody has these numbers as a user, a group, or in /etc/subuid or /etc/subgid.
 *
 * @throws `ERR_KEEPER_USERS`
 */
export async function checkUnusedIds(ids: readonly number[]): Promise<void> {
  const names = ids.map(String)
  const found = await Promise.all(['passwd', 'group'].map((database) => lookUp(database, names)))
  const [entry] = found.join('').split('\n')
  if (entry)
    throw refused(`a user id that an enclave's parts would have is in use: ${entry}`, { ids })
  for (const path of ['/etc/subuid', '/etc/subgid']) {
    const line = readLines(path).find((range) => ids.some((id) => holds(range, id)))
    if (line !== undefined) throw refused(`${path} gives an enclave's user ids to ${line}`, { ids })
  }
}

/** The entries that getent(1) finds for ids; nothing where there is no getent. */
function lookUp(database: string, ids: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile('getent', [database, ...ids], { timeout: LOOKUP_MS }, (_, stdout) => {
      resolve(stdout)
    })
  })
}

/** A line of subuid(5): name, first, count. Those of `cloister` are ours. */
function holds(line: string, id: number): boolean {
  const [name, first, count] = line.split(':')
  return name !== 'cloister' && id >= Number(first) && id < Number(first) + Number(count)
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    return []
  }
}

function refused(message: string, details: Readonly<Record<string, unknown>>): CloisterError {
  return new CloisterError('ERR_KEEPER_USERS', message, { details })
}
