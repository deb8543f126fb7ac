// Reads a ramdisk of an image while it streams by, as the kernel does: cpio archives one after the other,
// raw or packed with gzip as AWS's tools make them. The kernel's other compressions are not unpacked.

import { createGunzip, type Gunzip } from 'node:zlib'
import type { CpioReader } from './cpio-reader.ts'

const GZIP_MAGIC = 0x1f
const NOTHING = new Uint8Array()

/** What all ramdisks of an image together may be unpacked to. */
export interface UnpackBudget {
  readonly limitBytes: number
  leftBytes: number
}

/**
 * Unpacks a ramdisk into a {@link CpioReader}. Unreadable input does not throw: reading stops, and
 * `isComplete` is false.
 */
export class RamdiskReader {
  readonly #budget: UnpackBudget
  readonly #archives: CpioReader
  #gunzip: Gunzip | undefined
  #isReadable = true

  /** @param budget - What may be unpacked; what is above is not read. */
  constructor(budget: UnpackBudget, archives: CpioReader) {
    this.#budget = budget
    this.#archives = archives
  }

  /** Whether everything was read; to be asked after {@link end}. */
  get isComplete(): boolean {
    return this.#isReadable && this.#budget.leftBytes >= 0 && this.#archives.isBetween
  }

  async push(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.length > 0 && this.#isReadable;) {
      rest = this.#gunzip === undefined ? this.#read(rest) : await this.#unpack(this.#gunzip, rest)
    }
  }

  async end(): Promise<void> {
    const gunzip = this.#gunzip
    if (gunzip === undefined || gunzip.destroyed) return
    await new Promise<void>((resolve) => {
      gunzip.once('close', resolve)
      gunzip.end()
    })
  }

  /** Takes what is not packed; returns the rest, which is. */
  #read(chunk: Uint8Array): Uint8Array {
    const rest = this.#archives.push(chunk)
    if (rest.length === 0) return rest
    if (rest[0] === GZIP_MAGIC && this.#archives.isBetween) this.#gunzip = this.#startUnpacking()
    else this.#isReadable = false
    return rest
  }

  /** Returns what follows the end of the packed data: zeros, and whatever the kernel reads then. */
  async #unpack(gunzip: Gunzip, chunk: Uint8Array): Promise<Uint8Array> {
    const before = gunzip.bytesWritten
    await write(gunzip, chunk)
    if (!gunzip.readableEnded) return NOTHING
    gunzip.destroy()
    this.#gunzip = undefined
    return chunk.subarray(gunzip.bytesWritten - before)
  }

  #startUnpacking(): Gunzip {
    const gunzip = createGunzip()
    gunzip.on('data', (bytes: Buffer) => {
      this.#budget.leftBytes -= bytes.length
      if (this.#archives.push(bytes).length > 0 || this.#budget.leftBytes < 0)
        this.#isReadable = false
      if (!this.#isReadable) gunzip.destroy()
    })
    gunzip.on('error', () => {
      this.#isReadable = false
    })
    return gunzip
  }
}

/** Resolves when the chunk is unpacked, what is packed has ended, or the unpacker has given up. */
function write(gunzip: Gunzip, chunk: Uint8Array): Promise<void> {
  if (gunzip.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const settle = (): void => {
      gunzip.off('end', settle).off('close', settle)
      resolve()
    }
    gunzip.once('end', settle).once('close', settle).write(chunk, settle)
  })
}
