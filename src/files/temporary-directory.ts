// A private directory for temporary files, gone when it is disposed of, at the latest when the process
// exits (SIGKILL leaves it behind).

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CloisterError, messageOf } from '../errors.ts'

export interface TemporaryDirectory extends Disposable {
  /** Absolute; mode 0700. */
  readonly path: string
}

/**
 * Makes a directory below TMPDIR whose name says its purpose.
 * @throws ERR_FILE_TEMPORARY when the directory for temporary files is missing or not writable
 */
export function temporaryDirectory(purpose: string): TemporaryDirectory {
  const path = make(purpose)
  const remove = (): void => {
    rmSync(path, { recursive: true, force: true })
  }
  process.once('exit', remove)
  return {
    path,
    [Symbol.dispose]: () => {
      process.off('exit', remove)
      remove()
    },
  }
}

function make(purpose: string): string {
  try {
    return mkdtempSync(join(tmpdir(), `cloister-${purpose}-`))
  } catch (cause) {
    const message = `cannot create a temporary directory in ${tmpdir()}: ${messageOf(cause)}`
    throw new CloisterError('ERR_FILE_TEMPORARY', message, {
      details: { directory: tmpdir() },
      cause,
    })
  }
}
