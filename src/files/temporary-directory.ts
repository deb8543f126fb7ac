// A directory for temporary files, gone when the process exits.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CloisterError, messageOf } from '../errors.ts'

/** @throws ERR_FILE_TEMPORARY when the directory for temporary files is missing or not writable */
export function temporaryDirectory(purpose: string): string {
  let path: string
  try {
    path = mkdtempSync(join(tmpdir(), `cloister-${purpose}-`))
  } catch (cause) {
    const message = `cannot create a temporary directory in ${tmpdir()}: ${messageOf(cause)}`
    throw new CloisterError('ERR_FILE_TEMPORARY', message, {
      details: { directory: tmpdir() },
      cause,
    })
  }
  process.once('exit', () => {
    rmSync(path, { recursive: true, force: true })
  })
  return path
}
