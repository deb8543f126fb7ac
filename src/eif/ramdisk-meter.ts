// What a ramdisk of an image becomes in memory, counted while it streams by: as the kernel reads
// it, cpio archives one after the other, raw or packed with gzip as AWS's tools make them. The
// kernel's other compressions are not unpacked here: their contents are estimated.

import { createGunzip, type Gunzip } from 'node:zlib'
import { CpioMeter, type UnpackedSize } from './cpio-meter.ts'

const GZIP_MAGIC = 0x1f
/** What xz and zstd make of an ordinary file system; lz4 and bzip2 pack less. */
const ASSUMED_RATIO = 4
const PAGE_BYTES = 4096

export class RamdiskMeter {
  readonly #limitBytes: number
  readonly #archives = new CpioMeter()
  #gunzip: Gunzip | undefined
  #unpackedBytes = 0
  #bytes = 0
  #isReadable = true

  /** @param limitBytes - Unpacking ends above: what is larger fits no machine anyway. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** To be asked after {@link end}. */
  get size(): UnpackedSize {
    const { inodes, pages, tableBytes } = this.#archives.size
    if (this.#isReadable && this.#archives.isBetween) return { inodes, pages, tableBytes }
    const estimate = Math.ceil((this.#bytes * ASSUMED_RATIO) / PAGE_BYTES)
    return { inodes, pages: Math.max(pages, estimate), tableBytes }
  }

  async push(chunk: Uint8Array): Promise<void> {
    this.#bytes += chunk.length
    if (this.#gunzip !== undefined) return unpack(this.#gunzip, chunk)
    if (!this.#isReadable) return
    const rest = this.#archives.push(chunk)
    if (rest.length === 0) return
    if (rest[0] !== GZIP_MAGIC || !this.#archives.isBetween) {
      this.#isReadable = false
      return
    }
    this.#gunzip = this.#startUnpacking()
    await unpack(this.#gunzip, rest)
  }

  async end(): Promise<void> {
    const gunzip = this.#gunzip
    if (gunzip === undefined || gunzip.destroyed) return
    await new Promise<void>((resolve) => {
      gunzip.once('close', resolve)
      gunzip.end()
    })
  }

  #startUnpacking(): Gunzip {
    const gunzip = createGunzip()
    gunzip.on('data', (bytes: Buffer) => {
      this.#unpackedBytes += bytes.length
      if (this.#archives.push(bytes).length > 0) this.#isReadable = false
      if (!this.#isReadable || this.#unpackedBytes > this.#limitBytes) gunzip.destroy()
    })
    gunzip.on('error', () => {
      this.#isReadable = false
    })
    return gunzip
  }
}

/** Resolves when the chunk is unpacked, or the unpacker has given up. */
function unpack(gunzip: Gunzip, chunk: Uint8Array): Promise<void> {
  if (gunzip.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    gunzip.once('close', resolve)
    gunzip.write(chunk, () => {
      gunzip.removeListener('close', resolve)
      resolve()
    })
  })
}
