// The inodes of a SquashFS 4.0 image (Linux fs/squashfs/squashfs_fs.h): basic and extended forms of what our
// images have. All numbers are little-endian.

import { checkSquashfs, type Place, type SquashfsBlocks } from './squashfs-blocks.ts'

/** No fragment, no extended attributes. */
const NONE = 0xffff_ffff
const HEADER_BYTES = 16
/** From a basic form to the extended one. */
const EXTENDED = 7
const KINDS = ['directory', 'file', 'symlink'] as const
const FIFO = 6
const MAX_TARGET_BYTES = 4096
/** A listing's size counts `.` and `..`, which are not in it. */
const DOT_ENTRIES_BYTES = 3

interface Common {
  /** Permission bits. */
  readonly mode: number
  /** Indexes into the table of ids. */
  readonly uid: number
  readonly gid: number
  readonly mtime: number
  /** Index of a set of extended attributes. */
  readonly xattrs: number | undefined
}

export interface FileInode extends Common {
  readonly kind: 'file'
  readonly size: number
  /** Of its first block. */
  readonly start: number
  /** Size fields of its blocks; 0 for one of zeros. */
  readonly blocks: readonly number[]
  readonly fragment: { readonly index: number; readonly offset: number } | undefined
}

export interface DirectoryInode extends Common {
  readonly kind: 'directory'
  readonly listing: Place
  readonly listingBytes: number
}

export interface OtherInode extends Common {
  readonly kind: 'symlink' | 'fifo'
  /** One character per byte; empty for a pipe. */
  readonly target: string
}

export type SquashfsInode = FileInode | DirectoryInode | OtherInode

/** What inodes are read with. */
export interface InodeSource {
  readonly blocks: SquashfsBlocks
  /** Where the table of inodes is. */
  readonly start: number
  /** Bytes of a block of data. */
  readonly blockBytes: number
}

/** @throws MalformedSquashfs */
export async function readInode(source: InodeSource, place: Place): Promise<SquashfsInode> {
  const reader = new Fields(source, place)
  const head = await reader.take(HEADER_BYTES)
  const type = head.readUInt16LE(0)
  const isExtended = type > EXTENDED
  const basic = isExtended ? type - EXTENDED : type
  const kind = basic === FIFO ? 'fifo' : KINDS[basic - 1]
  checkSquashfs(kind !== undefined, 'an inode is of an unknown type')
  const common = {
    mode: head.readUInt16LE(2) & 0o7777,
    uid: head.readUInt16LE(4),
    gid: head.readUInt16LE(6),
    mtime: head.readUInt32LE(8),
  }
  if (kind === 'directory') return { ...common, kind, ...(await directory(reader, isExtended)) }
  if (kind === 'file') return { ...common, kind, ...(await file(reader, isExtended)) }
  return { ...common, kind, ...(await other(reader, kind, isExtended)) }
}

/** Reads an inode from its beginning to its end. */
class Fields {
  readonly source: InodeSource
  #place: Place

  constructor(source: InodeSource, place: Place) {
    this.source = source
    this.#place = place
  }

  async take(length: number): Promise<Buffer> {
    const { blocks, start } = this.source
    const { bytes, next } = await blocks.metadata(start, this.#place, length)
    this.#place = next
    return bytes
  }
}

type Rest<T> = Omit<T, keyof Omit<Common, 'xattrs'> | 'kind'>

async function directory(reader: Fields, isExtended: boolean): Promise<Rest<DirectoryInode>> {
  if (!isExtended) {
    const bytes = await reader.take(16)
    const listing = { block: bytes.readUInt32LE(0), offset: bytes.readUInt16LE(10) }
    return { listing, listingBytes: listingBytes(bytes.readUInt16LE(8)), xattrs: undefined }
  }
  const bytes = await reader.take(24)
  return {
    listing: { block: bytes.readUInt32LE(8), offset: bytes.readUInt16LE(18) },
    listingBytes: listingBytes(bytes.readUInt32LE(4)),
    xattrs: orNone(bytes.readUInt32LE(20)),
  }
}

function listingBytes(size: number): number {
  checkSquashfs(size >= DOT_ENTRIES_BYTES, 'a directory is too short')
  return size - DOT_ENTRIES_BYTES
}

async function file(reader: Fields, isExtended: boolean): Promise<Rest<FileInode>> {
  const bytes = await reader.take(isExtended ? 40 : 16)
  const [start, size] = isExtended
    ? [bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)].map(Number)
    : [bytes.readUInt32LE(0), bytes.readUInt32LE(12)]
  const at = isExtended ? 28 : 4
  const index = orNone(bytes.readUInt32LE(at))
  const fragment = index === undefined ? undefined : { index, offset: bytes.readUInt32LE(at + 4) }
  const { blockBytes } = reader.source
  checkSquashfs(Number.isSafeInteger(start) && Number.isSafeInteger(size), 'a file is too large')
  const whole = (size ?? 0) / blockBytes
  const count = fragment === undefined ? Math.ceil(whole) : Math.floor(whole)
  const list = count === 0 ? Buffer.alloc(0) : await sizes(reader, count)
  return {
    ...{ start: start ?? 0, size: size ?? 0, fragment },
    blocks: Array.from({ length: count }, (_, block) => list.readUInt32LE(4 * block)),
    xattrs: isExtended ? orNone(bytes.readUInt32LE(36)) : undefined,
  }
}

/** 16 GiB in blocks of 128 KiB; an image has no more. */
const MAX_BLOCKS = 131_072

function sizes(reader: Fields, count: number): Promise<Buffer> {
  checkSquashfs(count <= MAX_BLOCKS, 'a file has too many blocks')
  return reader.take(4 * count)
}

async function other(
  reader: Fields,
  kind: OtherInode['kind'],
  isExtended: boolean,
): Promise<Rest<OtherInode>> {
  await reader.take(4) // The number of links.
  let target = ''
  if (kind === 'symlink') {
    const length = (await reader.take(4)).readUInt32LE()
    checkSquashfs(length <= MAX_TARGET_BYTES, 'a symbolic link is too long')
    target = (await reader.take(length)).toString('latin1')
  }
  const xattrs = isExtended ? orNone((await reader.take(4)).readUInt32LE()) : undefined
  return { target, xattrs }
}

function orNone(index: number): number | undefined {
  return index === NONE ? undefined : index
}
