// Where a program is, before it is started: setpriv would find out too late, in words of its own.

import { accessSync, constants, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { CloisterError, reasonOf } from '../errors.ts'

/** What children get as PATH, whatever ours is. */
export const PROGRAM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * The absolute path of an executable file: `name` itself when it has a slash, relative to
 * `directory`, else the first of that name in {@link PROGRAM_PATH}.
 *
 * @throws `ERR_PROCESS_SPAWN` when there is none.
 */
export function findProgram(name: string, directory = '/'): string {
  const candidates = name.includes('/')
    ? [resolve(directory, name)]
    : PROGRAM_PATH.split(':').map((folder) => join(folder, name))
  const found = candidates.find((path) => whyNotExecutable(path) === undefined)
  if (found !== undefined) return found
  const reason = name.includes('/')
    ? (whyNotExecutable(candidates[0] ?? name) ?? '')
    : `it is not in ${PROGRAM_PATH}`
  throw new CloisterError('ERR_PROCESS_SPAWN', `cannot run the program ${name}: ${reason}`, {
    details: { program: name },
  })
}

function whyNotExecutable(path: string): string | undefined {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile() ? undefined : 'it is not a regular file'
  } catch (error) {
    return reasonOf(error)
  }
}
