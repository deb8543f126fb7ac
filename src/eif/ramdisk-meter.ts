// What a ramdisk of an image becomes in memory, counted while it streams by: as the kernel reads
// it, cpio archives one after the other, raw or packed with gzip as AWS's tools make them. The
// kernel's other compressions are not unpacked here: their contents are estimated.

import { createGunzip, type Gunzip } from 'node:zlib'
import { CpioMeter, type UnpackedSize } from './cpio-meter.ts'

const GZIP_MAGIC = 0x1f
/** What xz and zstd make of an ordinary file system; lz4 and bzip2 pack less. */
const ASSUMED_RATIO = 4
const PAGE_BYTES = 4096
const NOTHING = new Uint8Array()

/** What all ramdisks of an image together may be unpacked to. */
export interface UnpackBudget {
  readonly limitBytes: number
  leftBytes: number
}

export class RamdiskMeter {
  readonly #budget: UnpackBudget
  readonly #archives = new CpioMeter()
  #gunzip: Gunzip | undefined
  #bytes = 0
  #isReadable = true

  /** @param budget - What may be unpacked; above, an image fits no machine of the size asked for. */
  constructor(budget: UnpackBudget) {
    this.#budget = budget
  }

  /** To be asked after {@link end}. */
  get size(): UnpackedSize {
    const { inodes, pages, tableBytes } = this.#archives.size
    const isOver = this.#budget.leftBytes < 0
    if (this.#isReadable && !isOver && this.#archives.isBetween)
      return { inodes, pages, tableBytes }
    const estimate = isOver ? this.#budget.limitBytes : this.#bytes * ASSUMED_RATIO
    return { inodes, pages: Math.max(pages, Math.ceil(estimate / PAGE_BYTES)), tableBytes }
  }

  async push(chunk: Uint8Array): Promise<void> {
    this.#bytes += chunk.length
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
