// Files and directories with secrets in them: nobody but their owner may get at them, and the owner is the
// user that asks, or root. The status must be that of the open descriptor, not of a path.

import type { Stats } from 'node:fs'
import { check, type ErrorCode } from '../errors.ts'
import { readInputFile } from '../files/index.ts'

const OTHERS = 0o077
const PERMISSIONS = 0o777
const ROOT = 0

/**
 * Checks who can read a file, or enter a directory.
 * @throws the given code
 */
export function checkPrivate(
  { mode, uid }: Stats,
  path: string,
  { code, hint }: { readonly code: ErrorCode; readonly hint: string },
): void {
  const text = (mode & PERMISSIONS).toString(8)
  check((mode & OTHERS) === 0, code, `other users can get at ${path} (mode ${text})`, { hint })
  const isOurs = uid === ROOT || uid === process.geteuid?.()
  check(isOurs, code, `${path} belongs to another user (uid ${String(uid)})`, { hint })
}

const MAX_SECRET_BYTES = 4096

/**
 * The text in a private file, without a line feed at its end.
 * @throws the given code
 */
export function readSecretText(path: string, code: ErrorCode): string {
  const hint = `Run \`chmod 600 ${path}\` as its owner, who is the broker's user or root.`
  const bytes = readInputFile(path, {
    ...{ code, maxBytes: MAX_SECRET_BYTES },
    inspect: (status) => {
      checkPrivate(status, path, { code, hint })
    },
  })
  return bytes.toString('utf8').replace(/\r?\n$/, '')
}
