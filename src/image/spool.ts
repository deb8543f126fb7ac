// A file without a name: made, opened and unlinked at once, so that nothing is left behind however
// the process ends.

import { randomUUID } from 'node:crypto'
import { open, unlink, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { sinkToFile, sourceOfFile, type ByteSource } from '../eif/index.ts'

export class Spool implements AsyncDisposable {
  readonly #handle: FileHandle
  #size = 0

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  static async create(): Promise<Spool> {
    const path = join(tmpdir(), `cloister-${randomUUID()}`)
    const handle = await open(path, 'wx+', 0o600)
    await unlink(path)
    return new Spool(handle)
  }

  async append(bytes: Uint8Array): Promise<void> {
    await sinkToFile(this.#handle).write(this.#size, bytes)
    this.#size += bytes.length
  }

  /** What was appended so far. */
  source(): ByteSource {
    return sourceOfFile(this.#handle, this.#size)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}
