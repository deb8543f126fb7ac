// A private directory for what other tools write, removed at the end and at the process's exit (SIGKILL
// leaves it behind).

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CloisterError, messageOf } from '../../errors.ts'

export interface ScratchDirectory extends Disposable {
  readonly path: string
}

/** @throws ERR_FILE_TEMPORARY */
export function makeScratchDirectory(): ScratchDirectory {
  const path = make()
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

/** mkdtemp makes it 0700. */
function make(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'cloister-image-'))
  } catch (cause) {
    const message = `cannot make a directory in ${tmpdir()}: ${messageOf(cause)}`
    throw new CloisterError('ERR_FILE_TEMPORARY', message, {
      details: { directory: tmpdir() },
      cause,
    })
  }
}
