// The files in a SquashFS 4.0 image as Cloister writes it, each with a digest of its contents: what two images
// with compressed root file systems are compared by.

import { createHash } from 'node:crypto'

import type { ListedFile } from '../../eif/index.ts'
import type { ByteSource } from '../../files/index.ts'
import { MalformedSquashfs, SquashfsBlocks, checkSquashfs, type Place } from './squashfs-blocks.ts'
import { readInode, type FileInode, type SquashfsInode } from './squashfs-inode.ts'
import { readXattrs } from './squashfs-xattrs.ts'

const SUPERBLOCK_BYTES = 96
const MAGIC = 'hsqs'
const ZSTD = 6
const VERSION_4_0 = 4
const MAX_BLOCK_LOG = 20
/** Bounds on what is listed, as for ramdisks. */
const MAX_FILES = 500_000
const MAX_NAME_BYTES = 64 * 1024 * 1024
const MAX_CONTENT_BYTES = 16 * 1024 ** 3
const MAX_DEPTH = 256
const RUN_BYTES = 12
const ENTRY_BYTES = 8
const MAX_RUN = 256
const TYPE_BITS = {
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
  fifo: 0o010000,
} as const

/** Where the tables of an image are. */
export interface SquashfsLayout {
  readonly blocks: SquashfsBlocks
  readonly blockBytes: number
  readonly root: Place
  readonly inodes: number
  readonly directories: number
  readonly fragments: number
  readonly fragmentCount: number
  readonly ids: number
  readonly idCount: number
  readonly xattrs: number | undefined
}

/**
 * By path, one character per byte, the root as an empty one; undefined when it is not such an image, or
 * has more than is listed.
 */
export async function listSquashfs(
  source: ByteSource,
): Promise<ReadonlyMap<string, ListedFile> | undefined> {
  try {
    const layout = await readSuperblock(source)
    const list = new SquashfsList(layout)
    await list.add('', layout.root, 0)
    return list.files
  } catch (error) {
    // Whatever a damaged image makes of numbers, its reading ends here.
    const isTrap = error instanceof Error && error.name === 'RuntimeError' // of WebAssembly
    if (isTrap || error instanceof MalformedSquashfs || error instanceof RangeError)
      return undefined
    throw error
  }
}

async function readSuperblock(source: ByteSource): Promise<SquashfsLayout> {
  const blocks = await SquashfsBlocks.open(source)
  const bytes = await blocks.raw(0, SUPERBLOCK_BYTES)
  const isOurs = bytes.toString('latin1', 0, 4) === MAGIC && bytes.readUInt16LE(20) === ZSTD
  const blockLog = bytes.readUInt16LE(22)
  checkSquashfs(isOurs && bytes.readUInt16LE(28) === VERSION_4_0, 'it is not such an image')
  checkSquashfs(blockLog >= 12 && blockLog <= MAX_BLOCK_LOG, 'blocks have an unknown size')
  const root = bytes.readBigUInt64LE(32)
  const table = (at: number): number => Number(bytes.readBigUInt64LE(at))
  const xattrs = bytes.readBigUInt64LE(56)
  return {
    blocks,
    blockBytes: 2 ** blockLog,
    root: { block: Number(root >> 16n), offset: Number(root & 0xffffn) },
    ids: table(48),
    idCount: bytes.readUInt16LE(26),
    xattrs: xattrs === 0xffff_ffff_ffff_ffffn ? undefined : Number(xattrs),
    inodes: table(64),
    directories: table(72),
    fragments: table(80),
    fragmentCount: bytes.readUInt32LE(16),
  }
}

class SquashfsList {
  readonly files = new Map<string, ListedFile>()
  readonly #layout: SquashfsLayout
  /** Directories that were entered: none has two names. */
  readonly #entered = new Set<string>()
  /** Contents of files that were read, for their other names. */
  readonly #digests = new Map<string, string>()
  #nameBytes = 0
  #contentBytes = 0
  /** The last block of fragments, which files that lie together share. */
  #fragment: { readonly index: number; readonly bytes: Buffer } | undefined

  constructor(layout: SquashfsLayout) {
    this.#layout = layout
  }

  async add(path: string, place: Place, depth: number): Promise<void> {
    const { blocks, inodes: start, blockBytes } = this.#layout
    this.#nameBytes += path.length
    const fits = this.files.size < MAX_FILES && this.#nameBytes <= MAX_NAME_BYTES
    checkSquashfs(fits && depth <= MAX_DEPTH, 'there is too much to list')
    const inode = await readInode({ blocks, start, blockBytes }, place)
    const key = `${String(place.block)}/${String(place.offset)}`
    this.files.set(path, await this.#listed(inode, key))
    if (inode.kind !== 'directory') return
    checkSquashfs(!this.#entered.has(key), 'a directory has two names')
    this.#entered.add(key)
    for (const [name, child] of await this.#entries(inode.listing, inode.listingBytes))
      await this.add(path === '' ? name : `${path}/${name}`, child, depth + 1)
  }

  async #listed(inode: SquashfsInode, key: string): Promise<ListedFile> {
    const { blocks, xattrs } = this.#layout
    const { mode, mtime } = inode
    const target = 'target' in inode ? inode.target : ''
    const attributes =
      inode.xattrs === undefined ? '' : await readXattrs(blocks, xattrs, inode.xattrs)
    this.#nameBytes += target.length + attributes.length
    return {
      ...{ mode: TYPE_BITS[inode.kind] | mode, mtime, target },
      uid: await this.#id(inode.uid),
      gid: await this.#id(inode.gid),
      size: inode.kind === 'file' ? inode.size : Buffer.byteLength(target, 'latin1'),
      sha384: await this.#digest(inode, key),
      ...(attributes !== '' && { xattrs: attributes }),
    }
  }

  async #id(index: number): Promise<number> {
    const { ids, idCount } = this.#layout
    checkSquashfs(index < idCount, 'an owner is not in the table')
    return (await this.#inTable(ids, 4, index)).readUInt32LE()
  }

  /** An item of a table whose blocks are found by the places at `table`. */
  async #inTable(table: number, itemBytes: number, index: number): Promise<Buffer> {
    const at = index * itemBytes
    const place = await this.#layout.blocks.raw(table + 8 * Math.floor(at / 8192), 8)
    const start = Number(place.readBigUInt64LE())
    const inBlock = { block: 0, offset: at % 8192 }
    return (await this.#layout.blocks.metadata(start, inBlock, itemBytes)).bytes
  }

  async #digest(inode: SquashfsInode, key: string): Promise<string> {
    if (inode.kind === 'symlink')
      return createHash('sha384').update(inode.target, 'latin1').digest('hex')
    if (inode.kind !== 'file' || inode.size === 0) return ''
    const known = this.#digests.get(key)
    if (known !== undefined) return known
    this.#contentBytes += inode.size
    checkSquashfs(this.#contentBytes <= MAX_CONTENT_BYTES, 'there is too much to unpack')
    const hash = createHash('sha384')
    for await (const chunk of this.#contents(inode)) hash.update(chunk)
    const digest = hash.digest('hex')
    this.#digests.set(key, digest)
    return digest
  }

  async *#contents({ start, size, blocks, fragment }: FileInode): AsyncGenerator<Buffer> {
    const { blockBytes } = this.#layout
    let [offset, rest] = [start, size]
    for (const field of blocks) {
      const length = Math.min(rest, blockBytes)
      const bytes =
        field === 0 ? Buffer.alloc(length) : await this.#layout.blocks.data(offset, field, length)
      checkSquashfs(bytes.length === length, 'a block is too short')
      yield bytes
      offset += field & 0xff_ffff
      rest -= length
    }
    if (fragment === undefined) return
    const shared = await this.#fragmentBlock(fragment.index)
    checkSquashfs(fragment.offset + rest <= shared.length, 'the end of a file is missing')
    yield shared.subarray(fragment.offset, fragment.offset + rest)
  }

  async #fragmentBlock(index: number): Promise<Buffer> {
    if (this.#fragment?.index === index) return this.#fragment.bytes
    const { blocks, fragments, fragmentCount, blockBytes } = this.#layout
    checkSquashfs(index < fragmentCount, 'a fragment is not in the table')
    const entry = await this.#inTable(fragments, 16, index)
    const start = Number(entry.readBigUInt64LE(0))
    const bytes = await blocks.data(start, entry.readUInt32LE(8), blockBytes)
    this.#fragment = { index, bytes }
    return bytes
  }

  async #entries(
    listing: Place,
    length: number,
  ): Promise<readonly (readonly [name: string, place: Place])[]> {
    this.#nameBytes += length
    checkSquashfs(this.#nameBytes <= MAX_NAME_BYTES, 'there is too much to list')
    const { blocks, directories } = this.#layout
    const { bytes } = await blocks.metadata(directories, listing, length)
    const entries: (readonly [string, Place])[] = []
    for (let at = 0; at < length;) {
      const count = bytes.readUInt32LE(at) + 1
      const block = bytes.readUInt32LE(at + 4)
      checkSquashfs(count <= MAX_RUN, 'a directory is malformed')
      at += RUN_BYTES
      for (let index = 0; index < count; index++) {
        const end = at + ENTRY_BYTES + bytes.readUInt16LE(at + 6) + 1
        checkSquashfs(end <= length, 'a directory is malformed')
        const name = bytes.toString('latin1', at + ENTRY_BYTES, end)
        checkSquashfs(!/^\.{0,2}$|[/\0]/.test(name), 'a name is malformed')
        entries.push([name, { block, offset: bytes.readUInt16LE(at) }])
        at = end
      }
    }
    return entries
  }
}
