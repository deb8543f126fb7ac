// Directories below ones that may be missing. Node's own recursive mkdir never returns where a directory is
// there and nothing can be made in it for ENOENT, as below /proc.

import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a directory, and those above it, for its owner alone (mode 0700). One that is there stays as it is.
 * Fails as mkdir(2) does.
 * @returns the outermost directory that was made; undefined when all were there.
 */
export function makeDirectory(path: string): string | undefined {
  try {
    return makeOne(path)
  } catch (error) {
    const parent = dirname(path)
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || existsSync(parent)) throw error
    const outermost = makeDirectory(parent)
    const made = makeOne(path)
    return outermost ?? made
  }
}

function makeOne(path: string): string | undefined {
  try {
    mkdirSync(path, { mode: 0o700 })
    return path
  } catch (error) {
    const isThere = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    if (!isThere) throw error
    return undefined
  }
}
