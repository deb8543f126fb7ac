// A file without a name: made, opened and unlinked at once, so that nothing is left behind however
// the process ends.

import { readSync, unlinkSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CloisterError, reasonOf } from '../errors.ts'
import { sinkToFile, sourceOfFile, type ByteSink, type ByteSource } from './byte-source.ts'
import { makeFile } from './new-file.ts'

/**
 * A temporary file that can be written and read back at any offset; disposing of it frees its
 * space.
 */
export class Spool implements ByteSink, AsyncDisposable {
  readonly #handle: FileHandle
  #size = 0

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** @throws ERR_FILE_TEMPORARY when the directory for temporary files is missing or not writable */
  static async create(): Promise<Spool> {
    const path = join(tmpdir(), `cloister-${crypto.randomUUID()}`)
    const made = (): void => {
      unlinkSync(path)
    }
    return new Spool(await orFail(makeFile({ path, mode: 0o600, made })))
  }

  /** @throws ERR_FILE_TEMPORARY when the disk is full */
  async append(bytes: Uint8Array): Promise<void> {
    await this.write(this.#size, bytes)
  }

  /** @throws ERR_FILE_TEMPORARY when the disk is full */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await orFail(sinkToFile(this.#handle).write(offset, bytes))
    this.#size = Math.max(this.#size, offset + bytes.length)
  }

  /** For a child process that writes the file from its beginning; then call {@link adopt}. */
  get fd(): number {
    return this.#handle.fd
  }

  /** Takes what others wrote for this spool's own; returns its size. */
  async adopt(): Promise<{ readonly size: number }> {
    this.#size = (await this.#handle.stat()).size
    return { size: this.#size }
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size
  }

  /** What was written so far, or from an offset on. */
  source(start = 0): ByteSource {
    const whole = sourceOfFile(this.#handle, this.#size)
    if (start === 0) return whole
    return {
      size: whole.size - start,
      read: (offset, length) => whole.read(start + offset, length),
    }
  }

  /** What was written so far, in chunks, for a reader that cannot wait. */
  *chunksSync(chunkBytes: number): Generator<Uint8Array> {
    for (let offset = 0; offset < this.#size;) {
      const chunk = new Uint8Array(Math.min(chunkBytes, this.#size - offset))
      const count = readSync(this.#handle.fd, chunk, 0, chunk.length, offset)
      if (count === 0) return
      yield chunk.subarray(0, count)
      offset += count
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

async function orFail<T>(operation: Promise<T>): Promise<T> {
  return operation.catch((cause: unknown) => {
    const message = `cannot write a temporary file in ${tmpdir()}: ${reasonOf(cause)}`
    throw new CloisterError('ERR_FILE_TEMPORARY', message, {
      details: { directory: tmpdir() },
      cause,
    })
  })
}
