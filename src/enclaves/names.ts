// Names in use: a directory for each, which holds one file by the id of its enclave. Any number of
// processes may take and release names at once, so each step is one atomic call: rename(2) of a
// directory takes a name only where there is none (or an empty one), unlink(2) of the own id releases
// nobody else's, and rmdir(2) removes only what is empty by then.

import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export class Names {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  /**
   * Takes `wanted`, or `wanted_1`, `wanted_2`, … when it is in use, as nitro-cli does.
   *
   * @param staging - A path beside, where nothing is; nothing is left there.
   */
  reserve(wanted: string, id: string, staging: string): string {
    mkdirSync(staging, { mode: 0o700 })
    try {
      writeFileSync(join(staging, id), '')
      for (let suffix = 0; ; suffix++) {
        const name = suffix === 0 ? wanted : `${wanted}_${String(suffix)}`
        if (this.#take(name, staging)) return name
      }
    } catch (error) {
      rmSync(staging, { recursive: true, force: true })
      throw error
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
