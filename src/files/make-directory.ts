// Directories below ones that may be missing. Node's own recursive mkdir never returns where a directory is
// there and nothing can be made in it for ENOENT, as below /proc.

import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a directory, and those above it, for its owner alone (mode 0700). One that is there stays as it is.
 * Fails as mkdir(2) does.
 */
export function makeDirectory(path: string): void {
  try {
    makeOne(path)
  } catch (error) {
    const parent = dirname(path)
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || existsSync(parent)) throw error
    makeDirectory(parent)
    makeOne(path)
  }
}

function makeOne(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    const isThere = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    if (!isThere) throw error
  }
}
