// A directory that is held open while it is read: whatever another user puts in place of its name, or of
// a directory above it, its entries are those of the directory that was opened.

import { constants, type Stats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

import { bytesOfName, type ByteName } from '../tree/byte-name.ts'

const FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK

/** An open directory whose `path` stays the same directory until it is disposed of. */
export class HeldDirectory implements AsyncDisposable {
  readonly status: Stats
  readonly #handle: FileHandle

  private constructor(handle: FileHandle, status: Stats) {
    this.#handle = handle
    this.status = status
  }

  /** Opens what the user named; symbolic links are followed. Fails as open(2) does. */
  static named(path: Buffer): Promise<HeldDirectory> {
    return HeldDirectory.#open(path, FLAGS)
  }

  /** Opens a directory in this one; ELOOP or ENOTDIR for a symbolic link. */
  enter(name: ByteName): Promise<HeldDirectory> {
    return HeldDirectory.#open(this.member(name), FLAGS | constants.O_NOFOLLOW)
  }

  /** The descriptor, for as long as it is open. */
  get fd(): number {
    return this.#handle.fd
  }

  /** A path of the directory itself, for as long as it is open. */
  get path(): Buffer {
    return Buffer.from(`/proc/self/fd/${String(this.#handle.fd)}`)
  }

  /** A path of what is in it under this name, for as long as it is open. */
  member(name: ByteName): Buffer {
    return Buffer.concat([this.path, Buffer.from('/'), bytesOfName(name)])
  }

  static async #open(path: Buffer, flags: number): Promise<HeldDirectory> {
    const handle = await open(path, flags)
    try {
      return new HeldDirectory(handle, await handle.stat())
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}
