// The files in a ramdisk, each with a digest of its contents: what two images are compared by.

import { createHash, type Hash } from 'node:crypto'

import { CpioReader, FILE_TYPE, type CpioEntry } from './cpio-reader.ts'
import { linkKey, Overwrites } from './overwrites.ts'
import { RamdiskReader, type UnpackBudget } from './ramdisk-reader.ts'

/** A file, directory, link or node. */
export interface ListedFile {
  /** Type and permissions, as stat has them. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: number
  /** Bytes. */
  readonly size: number
  /** Hexadecimal SHA-384 of the contents, or of a symbolic link's target; empty for what has none. */
  readonly sha384: string
  /** The target of a symbolic link; `major:minor` of a device node. */
  readonly target: string
  /** Extended attributes, of a file in a file system image: names, each with its value in hexadecimal. */
  readonly xattrs?: string
}

/** Of all targets. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024
/** A target is a path. */
const MAX_TARGET_BYTES = 4096
/** Names of one file that come before its contents. */
const MAX_WAITING = 1000

/** Lists the files of one ramdisk: push its chunks in order, then await `end`. */
export class FileList {
  readonly #files = new Map<string, ListedFile>()
  /** Of a file with several names, contents come with one of them. */
  readonly #contentsOf = new Map<string, ListedFile>()
  /** Names whose contents have not come yet. */
  readonly #waiting = new Map<string, readonly string[]>()
  readonly #overwrites = new Overwrites()
  #textBytes = 0
  readonly #reader: RamdiskReader
  #entry: CpioEntry | undefined
  #hash: Hash | undefined
  #target = ''

  constructor(budget: UnpackBudget) {
    const archives = new CpioReader({
      begin: (entry) => {
        this.#finish()
        this.#entry = entry
        this.#overwrites.begin(entry)
      },
      data: (chunk) => {
        this.#take(chunk)
      },
      trailer: () => {
        this.#finish()
        this.#overwrites.trailer()
        this.#contentsOf.clear()
        this.#waiting.clear()
      },
    })
    this.#reader = new RamdiskReader(budget, archives)
  }

  push(chunk: Uint8Array): Promise<void> {
    return this.#reader.push(chunk)
  }

  /**
   * By name, one character per byte; undefined when the ramdisk is not made of readable archives, or
   * members of it change what others made.
   */
  async end(): Promise<ReadonlyMap<string, ListedFile> | undefined> {
    await this.#reader.end()
    this.#finish()
    const { hasRepeatedName, hasRewrittenLink } = this.#overwrites
    if (hasRepeatedName || hasRewrittenLink) return undefined
    return this.#reader.isComplete && !this.#isFull ? this.#files : undefined
  }

  /** Whether there is more than is listed. */
  get #isFull(): boolean {
    return this.#overwrites.isFull || this.#textBytes > MAX_TEXT_BYTES
  }

  #take(chunk: Uint8Array): void {
    this.#hash ??= createHash('sha384')
    this.#hash.update(chunk)
    const isLink = ((this.#entry?.mode ?? 0) & FILE_TYPE.mask) === FILE_TYPE.symlink
    if (isLink && this.#target.length <= MAX_TARGET_BYTES)
      this.#target += Buffer.from(chunk).toString('latin1')
  }

  #finish(): void {
    const entry = this.#entry
    const sha384 = this.#hash?.digest('hex') ?? ''
    const target = this.#target
    this.#entry = undefined
    this.#hash = undefined
    this.#target = ''
    if (entry === undefined || this.#isFull) return
    this.#textBytes += target.length
    const { mode, uid, gid, mtime, size, device } = entry
    const type = mode & FILE_TYPE.mask
    const isNode = type === 0o020000 || type === 0o060000
    const shown = isNode ? `${String(device[0])}:${String(device[1])}` : target
    const file = { mode, uid, gid, mtime, size, sha384, target: shown }
    this.#files.set(entry.name, this.#linked(entry, file))
  }

  /** The names of one file are given the same contents, whichever of them brings these. */
  #linked(entry: CpioEntry, file: ListedFile): ListedFile {
    const inode = linkKey(entry)
    if (inode === undefined || (file.mode & FILE_TYPE.mask) !== FILE_TYPE.regular) return file
    const known = this.#contentsOf.get(inode)
    if (file.size === 0 && known !== undefined) return { ...file, ...contents(known) }
    const waiting = this.#waiting.get(inode) ?? []
    if (file.size === 0) {
      this.#waiting.set(inode, [...waiting.slice(-MAX_WAITING), entry.name])
      return file
    }
    this.#contentsOf.set(inode, file)
    this.#waiting.delete(inode)
    for (const other of waiting) {
      const listed = this.#files.get(other)
      if (listed !== undefined) this.#files.set(other, { ...listed, ...contents(file) })
    }
    return file
  }
}

function contents({ size, sha384 }: ListedFile): Pick<ListedFile, 'size' | 'sha384'> {
  return { size, sha384 }
}
