// Reads "newc" cpio archives while they stream by, as the kernel does (Linux init/initramfs.c,
// Documentation/driver-api/early-userspace/buffer-format.rst). Hostile input: nothing is held but one
// header and one name.

const HEADER_BYTES = 110
const MAGICS = ['070701', '070702']
/** Byte offsets of the header's fields, of eight hexadecimal digits each. */
const FIELD = {
  inode: 6,
  mode: 14,
  uid: 22,
  gid: 30,
  links: 38,
  mtime: 46,
  fileSize: 54,
  major: 62,
  minor: 70,
  deviceMajor: 78,
  deviceMinor: 86,
  nameSize: 94,
} as const
const FIELD_BYTES = 8
/** The kernel's PATH_MAX. */
const MAX_NAME_BYTES = 4096
const TRAILER = 'TRAILER!!!'
const ASCII_ZERO = 0x30

/** A file, directory, link or node of an archive. */
export interface CpioEntry {
  /** As in the archive up to its first NUL, as the kernel has it, one character per byte. */
  readonly name: string
  /** Type and permissions, as stat has them. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Of an inode; its contents come with one of them. */
  readonly inode: number
  readonly links: number
  /** That the inode is of. */
  readonly fileSystem: readonly [major: number, minor: number]
  /** Seconds since 1970. */
  readonly mtime: number
  /** Bytes of contents; of a symbolic link, its target. */
  readonly size: number
  /** Of a device node. */
  readonly device: readonly [major: number, minor: number]
}

/** What becomes of the entries. */
export interface CpioSink {
  begin(entry: CpioEntry): void
  /** The present entry's contents, piece by piece. */
  data?(chunk: Uint8Array): void
  /** An archive has ended: inodes of the next one are others. */
  trailer?(): void
}

export const FILE_TYPE = {
  mask: 0o170000,
  regular: 0o100000,
  symlink: 0o120000,
  directory: 0o040000,
} as const

/**
 * Reports each entry of the archives pushed into it to a {@link CpioSink}. Malformed input does not
 * throw: `push` returns the bytes that it could not read.
 */
export class CpioReader {
  readonly #sink: CpioSink
  /** Whether what comes next may be zeros, or the beginning of an archive. */
  #isBetween = true
  /** Bytes of the present entry that are to come after its name, in this order. */
  #namePadding = 0
  #contents = 0
  #padding = 0
  /** The header of the present entry, and how much of it has come. */
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerBytes = 0
  readonly #name = Buffer.alloc(MAX_NAME_BYTES)
  #nameBytes = 0
  #nameSize = 0
  #isTrailer = false

  constructor(sink: CpioSink) {
    this.#sink = sink
  }

  /** Whether nothing was left unfinished. */
  get isBetween(): boolean {
    return this.#isBetween
  }

  /**
   * Takes archives, one after the other, and the zeros between them. Returns what is left of the
   * chunk from where neither can be read: nothing, as a rule.
   */
  push(chunk: Uint8Array): Uint8Array {
    let at = 0
    while (at < chunk.length) {
      if (this.#namePadding + this.#contents + this.#padding > 0) {
        at += this.#takeRest(chunk.subarray(at))
      } else if (this.#isBetween) {
        while (chunk[at] === 0) at += 1
        if (at === chunk.length) break
        if (chunk[at] !== ASCII_ZERO) return chunk.subarray(at)
        this.#isBetween = false
      } else if (this.#headerBytes < HEADER_BYTES) {
        at += this.#takeHeader(chunk, at)
        if (this.#headerBytes === HEADER_BYTES && !this.#isHeader()) return chunk.subarray(at - 1)
      } else {
        at += this.#takeName(chunk, at)
        if (this.#nameBytes === this.#nameSize) this.#beginEntry()
      }
    }
    return chunk.subarray(at)
  }

  #takeRest(chunk: Uint8Array): number {
    const start = Math.min(this.#namePadding, chunk.length)
    const part = chunk.subarray(start, start + this.#contents)
    if (part.length > 0 && !this.#isTrailer) this.#sink.data?.(part)
    const end = Math.min(start + part.length + this.#padding, chunk.length)
    this.#namePadding -= start
    this.#contents -= part.length
    if (this.#contents > 0) return start + part.length
    this.#padding -= end - start - part.length
    return end
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const part = chunk.subarray(at, at + HEADER_BYTES - this.#headerBytes)
    this.#header.set(part, this.#headerBytes)
    this.#headerBytes += part.length
    return part.length
  }

  #takeName(chunk: Uint8Array, at: number): number {
    const part = chunk.subarray(at, at + this.#nameSize - this.#nameBytes)
    this.#name.set(part, this.#nameBytes)
    this.#nameBytes += part.length
    return part.length
  }

  #isHeader(): boolean {
    const text = this.#header.toString('latin1')
    if (!MAGICS.includes(text.slice(0, 6)) || !/^[0-9a-fA-F]{104}$/.test(text.slice(6)))
      return false
    this.#nameSize = this.#field('nameSize')
    this.#nameBytes = 0
    return this.#nameSize > 0 && this.#nameSize <= MAX_NAME_BYTES
  }

  #field(name: keyof typeof FIELD): number {
    const start = FIELD[name]
    return parseInt(this.#header.toString('latin1', start, start + FIELD_BYTES), 16)
  }

  #beginEntry(): void {
    this.#contents = this.#field('fileSize')
    this.#namePadding = paddingOf(HEADER_BYTES + this.#nameSize)
    this.#padding = paddingOf(this.#contents)
    this.#headerBytes = 0
    const [name = ''] = this.#name.toString('latin1', 0, this.#nameSize - 1).split('\0', 1)
    // The kernel passes over a body of the trailer too.
    this.#isTrailer = name === TRAILER
    this.#isBetween = this.#isTrailer
    if (this.#isTrailer) this.#sink.trailer?.()
    else this.#sink.begin(this.#entry(name))
  }

  #entry(name: string): CpioEntry {
    return {
      name,
      mode: this.#field('mode'),
      uid: this.#field('uid'),
      gid: this.#field('gid'),
      inode: this.#field('inode'),
      links: this.#field('links'),
      fileSystem: [this.#field('major'), this.#field('minor')],
      mtime: this.#field('mtime'),
      size: this.#contents,
      device: [this.#field('deviceMajor'), this.#field('deviceMinor')],
    }
  }
}

/** Bytes up to the next multiple of 4. */
function paddingOf(length: number): number {
  return (4 - (length % 4)) % 4
}
