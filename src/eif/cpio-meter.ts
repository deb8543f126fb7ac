// What a "newc" cpio archive becomes in the kernel's root file system, counted while it streams by
// (Linux init/initramfs.c, Documentation/driver-api/early-userspace/buffer-format.rst). Hostile
// input: nothing is held but one header and one name, and every entry counts, a repeated one too.

const HEADER_BYTES = 110
const MAGICS = ['070701', '070702']
/** Byte offsets of the header's fields, of eight hexadecimal digits each. */
const FIELD = { mode: 14, fileSize: 54, nameSize: 94 } as const
const FIELD_BYTES = 8
/** The kernel's PATH_MAX. */
const MAX_NAME_BYTES = 4096
const TRAILER = 'TRAILER!!!'
const ASCII_ZERO = 0x30
const SLASH = 0x2f

const PAGE_BYTES = 4096
const FILE_TYPE = { mask: 0o170000, regular: 0o100000, symlink: 0o120000 } as const
/** A name up to this length lies in its dentry (DNAME_INLINE_LEN - 1). */
const INLINE_NAME_BYTES = 39
const LONG_NAME_BYTES = 256
/** Inode, its security blob and its dentry: 712 or 600, 64 and 192 bytes in Linux 6.12, and slack. */
const INODE_BYTES = 1024
/** Of a file's page tree, for each 64 pages of a file that has more than one. */
const TREE_NODE_BYTES = 600
const PAGES_PER_TREE_NODE = 64

/** What a root file system takes of the memory. */
export interface UnpackedSize {
  /** Names in the archive: files, directories, links, device nodes. */
  readonly inodes: number
  /** Pages of 4 KiB with the contents of files and symbolic links. */
  readonly pages: number
  /** Bytes of the kernel's own tables for them. */
  readonly tableBytes: number
}

export class CpioMeter {
  #inodes = 0
  #pages = 0
  #tableBytes = 0
  /** Whether what comes next may be zeros, or the beginning of an archive. */
  #isBetween = true
  /** Bytes of the present entry that are passed over. */
  #skip = 0
  /** The header of the present entry, and how much of it has come. */
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerBytes = 0
  readonly #name = Buffer.alloc(MAX_NAME_BYTES)
  #nameBytes = 0
  #nameSize = 0
  #mode = 0
  #fileSize = 0

  get size(): UnpackedSize {
    return { inodes: this.#inodes, pages: this.#pages, tableBytes: this.#tableBytes }
  }

  /** Whether something was left unfinished. */
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
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at)
        this.#skip -= step
        at += step
      } else if (this.#isBetween) {
        while (chunk[at] === 0) at += 1
        if (at === chunk.length) break
        if (chunk[at] !== ASCII_ZERO) return chunk.subarray(at)
        this.#isBetween = false
      } else if (this.#headerBytes < HEADER_BYTES) {
        at += this.#takeHeader(chunk, at)
        if (this.#headerBytes === HEADER_BYTES && !this.#readHeader()) return chunk.subarray(at - 1)
      } else {
        at += this.#takeName(chunk, at)
        if (this.#nameBytes === this.#nameSize) this.#endEntry()
      }
    }
    return chunk.subarray(at)
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

  #readHeader(): boolean {
    const text = this.#header.toString('latin1')
    if (!MAGICS.includes(text.slice(0, 6)) || !/^[0-9a-fA-F]{104}$/.test(text.slice(6)))
      return false
    const field = (offset: number): number => parseInt(text.slice(offset, offset + FIELD_BYTES), 16)
    this.#mode = field(FIELD.mode)
    this.#fileSize = field(FIELD.fileSize)
    this.#nameSize = field(FIELD.nameSize)
    this.#nameBytes = 0
    return this.#nameSize > 0 && this.#nameSize <= MAX_NAME_BYTES
  }

  #endEntry(): void {
    const padding = (4 - ((HEADER_BYTES + this.#nameSize) % 4)) % 4
    this.#skip = padding + Math.ceil(this.#fileSize / 4) * 4
    this.#headerBytes = 0
    const name = this.#name.subarray(0, this.#nameSize - 1)
    // The kernel passes over a body of the trailer too.
    if (name.length === TRAILER.length && name.toString('latin1') === TRAILER) {
      this.#isBetween = true
    } else this.#count(name.length - 1 - name.lastIndexOf(SLASH))
  }

  #count(baseNameBytes: number): void {
    const type = this.#mode & FILE_TYPE.mask
    const hasContents = type === FILE_TYPE.regular || type === FILE_TYPE.symlink
    const pages = hasContents ? Math.ceil(this.#fileSize / PAGE_BYTES) : 0
    this.#inodes += 1
    this.#pages += pages
    this.#tableBytes += INODE_BYTES
    if (baseNameBytes > INLINE_NAME_BYTES) this.#tableBytes += LONG_NAME_BYTES
    if (pages > 1) this.#tableBytes += Math.ceil(pages / PAGES_PER_TREE_NODE) * TREE_NODE_BYTES
  }
}
