// The bytes that were measured, held so that nobody can change them before QEMU has read them: a
// file that never shows in a directory, written while it is hashed, then held open for reading only.

import { chmodSync, closeSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { CloisterError, reasonOf } from '../../errors.ts'

/** A file to append to until it is sealed, and to read only from then on. */
export class UnnamedFile implements Disposable {
  readonly #writeFd: number
  readonly #readFd: number

  /** @param directory - A private directory on a file system with room for the bytes. */
  constructor(directory: string, name: string) {
    const path = join(directory, `.${name}`)
    this.#writeFd = openSync(path, 'wx', 0o600)
    this.#readFd = openSync(path, 'r')
    // QEMU opens the descriptor anew as its own user; the file has no name anybody else could open.
    chmodSync(path, 0o444)
    unlinkSync(path)
  }

  /** @throws `ERR_KEEPER_DIRECTORY` when the file system is full. */
  append(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#writeFd, bytes, done)
    } catch (cause) {
      throw new CloisterError('ERR_KEEPER_DIRECTORY', `cannot copy the image: ${reasonOf(cause)}`, {
        cause,
        hint: 'Point CLOISTER_RUNTIME_DIR at a file system with room for the image.',
      })
    }
  }

  /** Closes both ends of a file that was not completed. */
  abandon(): void {
    closeSync(this.#writeFd)
    closeSync(this.#readFd)
  }

  /** Ends writing for good and returns the descriptor to read from. */
  seal(): number {
    closeSync(this.#writeFd)
    return this.#readFd
  }

  [Symbol.dispose](): void {
    closeSync(this.#readFd)
  }
}
