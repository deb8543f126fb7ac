// The blocks of a SquashFS 4.0 image (Linux Documentation/filesystems/squashfs.rst): data of up to a block's
// size, and streams of metadata in pieces of 8 KiB. Only images packed with zstd are read, as Cloister writes
// them. Hostile input: every length is checked before anything is allocated.

import { ZSTDDecoder } from 'zstddec/stream'

import type { ByteSource } from '../../files/index.ts'

const METADATA_BYTES = 8192
const METADATA_STORED = 1 << 15
const METADATA_SIZE = METADATA_STORED - 1
const DATA_STORED = 1 << 24
const DATA_SIZE = DATA_STORED - 1
/** Pieces of metadata that are kept unpacked: inodes and listings lie close to each other. */
const KEPT = 64

/** What is wrong with an image; whoever lists one compares it as a whole then. */
export class MalformedSquashfs extends Error {}

/** @throws MalformedSquashfs */
export function checkSquashfs(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new MalformedSquashfs(problem)
}

/** A place in a stream of metadata: a piece, from the stream's start, and a byte in it. */
export interface Place {
  readonly block: number
  readonly offset: number
}

interface Piece {
  readonly bytes: Buffer
  /** Bytes of the image that it takes. */
  readonly taken: number
}

export class SquashfsBlocks {
  readonly #source: ByteSource
  readonly #decoder: ZSTDDecoder
  readonly #pieces = new Map<number, Piece>()

  private constructor(source: ByteSource, decoder: ZSTDDecoder) {
    this.#source = source
    this.#decoder = decoder
  }

  static async open(source: ByteSource): Promise<SquashfsBlocks> {
    const decoder = new ZSTDDecoder()
    await decoder.init()
    return new SquashfsBlocks(source, decoder)
  }

  /** Bytes of the image as they are. */
  async raw(offset: number, length: number): Promise<Buffer> {
    const isInside = offset >= 0 && length >= 0 && offset + length <= this.#source.size
    checkSquashfs(isInside, 'something lies outside of the image')
    return Buffer.from(await this.#source.read(offset, length))
  }

  /**
   * A block of a file's data.
   * @param field - Its size as the image has it.
   * @param length - What it unpacks to at most.
   */
  async data(offset: number, field: number, length: number): Promise<Buffer> {
    const size = field & DATA_SIZE
    checkSquashfs(size > 0 && size <= length, 'a block has a wrong size')
    const bytes = await this.raw(offset, size)
    return (field & DATA_STORED) === 0 ? this.#unpack(bytes, length) : bytes
  }

  /** `length` bytes of the metadata that begin at `place` of the stream at `start`, and what comes behind. */
  async metadata(
    start: number,
    { block, offset }: Place,
    length: number,
  ): Promise<{ readonly bytes: Buffer; readonly next: Place }> {
    const parts: Buffer[] = []
    let [at, from, missing] = [block, offset, length]
    while (missing > 0) {
      const { bytes, taken } = await this.#piece(start + at)
      checkSquashfs(from <= bytes.length, 'a place is outside of its block')
      const part = bytes.subarray(from, from + missing)
      parts.push(part)
      missing -= part.length
      from += part.length
      if (missing > 0 || from === METADATA_BYTES) {
        checkSquashfs(missing === 0 || bytes.length > 0, 'metadata are truncated')
        at += taken
        from = 0
      }
    }
    return { bytes: Buffer.concat(parts), next: { block: at, offset: from } }
  }

  async #piece(offset: number): Promise<Piece> {
    const known = this.#pieces.get(offset)
    if (known !== undefined) return known
    const field = (await this.raw(offset, 2)).readUInt16LE()
    const size = field & METADATA_SIZE
    checkSquashfs(size > 0 && size <= METADATA_BYTES, 'a block of metadata has a wrong size')
    const packed = await this.raw(offset + 2, size)
    const isStored = (field & METADATA_STORED) !== 0
    const bytes = isStored ? packed : this.#unpack(packed, METADATA_BYTES)
    const [oldest] = this.#pieces.keys()
    if (this.#pieces.size >= KEPT && oldest !== undefined) this.#pieces.delete(oldest)
    const piece = { bytes, taken: 2 + size }
    this.#pieces.set(offset, piece)
    return piece
  }

  /** The library reports an error as a length that cannot be. */
  #unpack(packed: Buffer, length: number): Buffer {
    const bytes = Buffer.from(this.#decoder.decode(packed, length))
    checkSquashfs(bytes.length > 0 && bytes.length <= length, 'a block is damaged')
    return bytes
  }
}
