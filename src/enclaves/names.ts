// Names in use (and CIDs, which are names here): a directory for each, which holds one file by the id of
// its enclave. Any number of processes may take and release them at once, so each step is one atomic call: rename(2) of a
// directory takes a name only where there is none (or an empty one), unlink(2) of the own id releases
// nobody else's, and rmdir(2) removes only what is empty by then.

import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Reserves names for enclaves in a directory that several processes share. */
export class Names {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  /**
   * Takes the first of these names that is free, and returns it; undefined when none is.
   *
   * @param staging - A path beside, where nothing is; nothing is left there.
   */
  reserve(candidates: Iterable<string>, id: string, staging: string): string | undefined {
    mkdirSync(staging, { mode: 0o700 })
    try {
      writeFileSync(join(staging, id), '')
      for (const name of candidates) if (this.#take(name, staging)) return name
      return undefined
    } finally {
      rmSync(staging, { recursive: true, force: true })
    }
  }

  /** Frees the name, if this enclave, or none, has it. */
  release(name: string, id: string | undefined): void {
    if (id !== undefined) rmSync(join(this.#directory, name, id), { force: true })
    try {
      rmdirSync(join(this.#directory, name))
    } catch (error) {
      if (!hasCode(error, 'ENOENT', 'ENOTEMPTY')) throw error
    }
  }

  /** Hands a name on to another enclave. Fails as rename(2) does when `from` does not have it. */
  pass(name: string, from: string, to: string): void {
    renameSync(join(this.#directory, name, from), join(this.#directory, name, to))
  }

  /** Every name, with the enclave that has it; none when a process was killed while releasing it. */
  list(): readonly { readonly name: string; readonly id: string | undefined }[] {
    return readdirSync(this.#directory).map((name) => ({ name, id: this.#ownerOf(name) }))
  }

  #take(name: string, staging: string): boolean {
    try {
      renameSync(staging, join(this.#directory, name))
      return true
    } catch (error) {
      if (hasCode(error, 'EEXIST', 'ENOTEMPTY')) return false
      throw error
    }
  }

  #ownerOf(name: string): string | undefined {
    try {
      return readdirSync(join(this.#directory, name))[0]
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined
      throw error
    }
  }
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '')
}
