// The first file of a ramdisk, collected from its chunks as they come. Cloister's application ramdisk
// begins with `cloister.yaml` (docs/protocols.md); those of other tools do not.

import type { ByteSource } from '../files/index.ts'
import { decodeHeader } from './header.ts'
import { HEADER_BYTES, SECTION_HEADER_BYTES } from './layout.ts'
import { decodeSectionHeader, type EifSection } from './section-table.ts'

/** Of a "newc" cpio (Linux Documentation/driver-api/early-userspace/buffer-format.rst). */
const CPIO_HEADER_BYTES = 110
const FIELD = { mode: 14, fileSize: 54, nameSize: 94 } as const
const FIELD_BYTES = 8
const FILE_TYPE = { mask: 0o170000, regular: 0o100000 } as const

/**
 * Collects the first file of a ramdisk if it is a regular file of the wanted name. Only an
 * uncompressed "newc" archive is read.
 */
export class FirstFile {
  readonly #name: string
  readonly #maxBytes: number
  #head = Buffer.alloc(0)
  /** Where the file's bytes begin and end in the ramdisk, once that is known. */
  #extent: readonly [start: number, end: number] | undefined
  #isOther = false

  /**
   * @param name - ASCII, without a leading slash.
   * @param maxBytes - A longer file is taken for absent.
   */
  constructor(name: string, maxBytes: number) {
    this.#name = name
    this.#maxBytes = maxBytes
  }

  /** Whether more of the ramdisk would change nothing. */
  get isComplete(): boolean {
    return this.#isOther || (this.#extent !== undefined && this.#head.length >= this.#extent[1])
  }

  push(chunk: Uint8Array): void {
    if (this.isComplete) return
    this.#head = Buffer.concat([this.#head, chunk])
    const headerBytes = CPIO_HEADER_BYTES + this.#name.length + 1
    if (this.#extent === undefined && this.#head.length >= headerBytes) this.#readHeader()
  }

  /** Absent when the ramdisk begins with something else, or ended before. */
  get bytes(): Uint8Array | undefined {
    return this.isComplete && this.#extent !== undefined
      ? this.#head.subarray(...this.#extent)
      : undefined
  }

  #readHeader(): void {
    const text = this.#head.toString('latin1', 0, CPIO_HEADER_BYTES + this.#name.length + 1)
    const field = (at: number): number => parseInt(text.slice(at, at + FIELD_BYTES), 16)
    const size = field(FIELD.fileSize)
    const isWanted =
      /^070701[0-9a-fA-F]{104}/.test(text) &&
      field(FIELD.nameSize) === this.#name.length + 1 &&
      text.slice(CPIO_HEADER_BYTES) === `${this.#name}\0` &&
      (field(FIELD.mode) & FILE_TYPE.mask) === FILE_TYPE.regular &&
      size <= this.#maxBytes
    const start = Math.ceil(text.length / 4) * 4
    if (isWanted) this.#extent = [start, start + size]
    else this.#isOther = true
  }
}

/**
 * Where a ramdisk lies, without a look at anything else of the image.
 *
 * @param index - Counted from 0.
 * @returns Nothing when there are fewer.
 * @throws `ERR_EIF_*` for a malformed header
 */
export async function findRamdisk(
  source: ByteSource,
  index: number,
): Promise<EifSection | undefined> {
  const { table } = decodeHeader(await readPadded(source, 0, HEADER_BYTES))
  let found = -1
  for (const row of table) {
    const header = await readPadded(source, row.offset, SECTION_HEADER_BYTES)
    const section = decodeSectionHeader(header, row)
    if (section.type === 'ramdisk' && ++found === index) return section
  }
  return undefined
}

/** What lies behind the end is zeros, which no header takes. */
async function readPadded(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  bytes.set(await source.read(offset, length))
  return bytes
}
