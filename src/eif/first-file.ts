// The first file of a ramdisk, collected from its chunks as they come. Cloister's application ramdisk
// begins with `cloister.yaml` (docs/protocols.md); those of other tools do not.

import type { ByteSource } from '../files/index.ts'
import { CpioReader, FILE_TYPE, type CpioEntry } from './cpio-reader.ts'
import { decodeHeader } from './header.ts'
import { HEADER_BYTES, SECTION_HEADER_BYTES } from './layout.ts'
import { pathOf } from './overwrites.ts'
import { decodeSectionHeader, type EifSection } from './section-table.ts'

/**
 * Collects the first file of a ramdisk if it is a regular file of the wanted name, and looks on for what
 * would make the kernel put another file there. Only uncompressed "newc" archives are read.
 */
export class FirstFile {
  readonly #path: string
  readonly #maxBytes: number
  readonly #archives: CpioReader
  readonly #chunks: Uint8Array[] = []
  /** Bytes of the file that are to come; undefined until the first member, and when that is another. */
  #leftBytes: number | undefined
  #members = 0
  #isCollecting = false
  #isReadable = true
  #problem: string | undefined
  #hasMatch = false

  /**
   * @param name - ASCII, without a leading slash.
   * @param maxBytes - A longer file is taken for absent.
   */
  constructor(name: string, maxBytes: number) {
    this.#path = pathOf(name)
    this.#maxBytes = maxBytes
    this.#archives = new CpioReader({
      begin: (entry) => {
        this.#begin(entry)
      },
      data: (chunk) => {
        if (!this.#isCollecting) return
        this.#chunks.push(Uint8Array.from(chunk))
        this.#leftBytes = (this.#leftBytes ?? 0) - chunk.length
      },
    })
  }

  /** Whether more of the ramdisk would not change {@link bytes}. */
  get isComplete(): boolean {
    return !this.#isReadable || this.#leftBytes === 0 || (this.#members > 0 && !this.#isCollecting)
  }

  /** Whether a member of any type has the name. */
  get hasMatch(): boolean {
    return this.#hasMatch
  }

  /** Why the kernel may not have {@link bytes} under the name; to be asked after the last chunk. */
  get problem(): string | undefined {
    const isWhole = this.#isReadable && this.#archives.isBetween
    if (this.#problem !== undefined || this.bytes === undefined || isWhole) return this.#problem
    return 'what follows it is not a cpio archive'
  }

  push(chunk: Uint8Array): void {
    if (this.#isReadable && this.#archives.push(chunk).length > 0) this.#isReadable = false
  }

  /** Absent when the ramdisk begins with something else, or ended before. */
  get bytes(): Uint8Array | undefined {
    return this.#leftBytes === 0 ? Buffer.concat(this.#chunks) : undefined
  }

  #begin(entry: CpioEntry): void {
    this.#members += 1
    this.#isCollecting = false
    if (pathOf(entry.name) !== this.#path) return
    const isRegular = (entry.mode & FILE_TYPE.mask) === FILE_TYPE.regular
    if (this.#hasMatch) this.#problem ??= 'there are two of them'
    else if (!isRegular) this.#problem ??= 'it is not a regular file'
    else if (entry.links > 1) this.#problem ??= 'it has several names'
    else if (this.#members > 1) this.#problem ??= 'it is not the first file'
    else if (entry.size <= this.#maxBytes) {
      this.#isCollecting = true
      this.#leftBytes = entry.size
    }
    this.#hasMatch = true
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
