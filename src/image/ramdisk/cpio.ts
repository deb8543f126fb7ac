// The initramfs format: an uncompressed "newc" cpio (Linux Documentation/driver-api/early-userspace/
// buffer-format.rst). The archive is a function of the tree alone: names in byte order, inode
// numbers counted, every time 0. Extended attributes and file capabilities have no place in it.

import { CloisterError, check } from '../../errors.ts'
import type { Content } from '../../eif/index.ts'
import { batch } from './batch.ts'
import { bytesOfName, showName, type ByteName } from '../tree/byte-name.ts'
import { checkPath, flatten, type Directory, type TreeNode } from '../tree/tree.ts'

const MAGIC = '070701'
const HEADER_BYTES = 110
const TRAILER = 'TRAILER!!!'
const MAX_UINT32 = 0xffff_ffff
/** PATH_MAX with the terminating NUL. */
const MAX_NAME_BYTES = 4096

/** The kernel passes over the body of a member without a type. */
const FILE_TYPE_BITS = {
  untyped: 0,
  fifo: 0o010000,
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
} as const
/** What the kernel sees as a link count; it only looks at that of files. */
const DIRECTORY_LINKS = 2

/** One archive member: its header and name are made, its data streams. */
interface Member {
  /** Header, name, and padding to a multiple of 4. */
  readonly head: Uint8Array
  readonly data: Content
}

interface Inode {
  readonly number: number
  /** Names in the archive. */
  links: number
  /** How many of the links were written so far. */
  written: number
}

const nothing: Content = { size: 0, chunks: () => [] }

/**
 * The archive of a tree, without a member for its root; its length is a multiple of 4. A chunk is valid until the
 * next one is asked for.
 */
export function cpioOf(root: Directory): Content {
  const { size, links } = sizeOf(root)
  return { size, chunks: () => batch(write(root, links), 'reused') }
}

/** The archive's length, and how many names each file has that may have more than one. */
function sizeOf(root: Directory): {
  readonly size: number
  readonly links: ReadonlyMap<TreeNode, number>
} {
  const links = new Map<TreeNode, number>()
  let size = headBytes(TRAILER)
  for (const { path, node } of flatten(root)) {
    const { size: dataSize } = dataOf(node)
    checkSize(path, dataSize)
    const isFirst = !links.has(node)
    if (isShared(node)) links.set(node, (links.get(node) ?? 0) + 1)
    size += headBytes(path) + (isFirst ? align(dataSize) : 0)
  }
  return { size, links }
}

/** Numbers the nodes in archive order, from 1; names of one node share its inode. */
function* membersOf(root: Directory, links: ReadonlyMap<TreeNode, number>): Generator<Member> {
  const shared = new Map<TreeNode, Inode>()
  let count = 0
  for (const { path, node } of flatten(root)) {
    const inode = shared.get(node) ?? { number: ++count, links: links.get(node) ?? 1, written: 0 }
    if (isShared(node)) shared.set(node, inode)
    inode.written += 1
    // Hard links carry their data once, with the last name, as GNU cpio writes them.
    const data = inode.written === inode.links ? dataOf(node) : nothing
    yield { head: encodeHead(path, node, inode, data.size), data }
  }
  yield { head: encodeTrailer(), data: nothing }
}

function isShared(node: TreeNode): boolean {
  return node.kind !== 'directory' && node.isLinked === true
}

function dataOf(node: TreeNode): Content {
  if (node.kind === 'file' || node.kind === 'untyped') return node.content
  if (node.kind !== 'symlink') return nothing
  const target = bytesOfName(node.target)
  return { size: target.length, chunks: () => [target] }
}

function encodeHead(path: ByteName, node: TreeNode, inode: Inode, size: number): Uint8Array {
  const { mode, uid, gid, mtime = 0 } = node.attributes
  const type = typeBits(path, node)
  const links = node.kind === 'directory' ? DIRECTORY_LINKS : inode.links
  return encodeHeader(path, [inode.number, type | mode, uid, gid, links, mtime, size])
}

/** Devices and sockets were dropped before (drop-devices.ts). */
function typeBits(path: ByteName, { kind }: TreeNode): number {
  if (kind in FILE_TYPE_BITS) return FILE_TYPE_BITS[kind as keyof typeof FILE_TYPE_BITS]
  throw new CloisterError('ERR_IMAGE_ENTRY', `${showName(path)} is a ${kind}`)
}

function encodeTrailer(): Uint8Array {
  return encodeHeader(TRAILER, [0, 0, 0, 0, 1, 0, 0])
}

/**
 * `fields` are inode, mode, uid, gid, links, mtime and size; the device numbers and the checksum, which
 * follow, are 0.
 */
function encodeHeader(name: ByteName, fields: readonly number[]): Uint8Array {
  const numbers = [...fields, 0, 0, 0, 0, name.length + 1, 0]
  const text = numbers.map((number) => number.toString(16).toUpperCase().padStart(8, '0')).join('')
  const bytes = Buffer.alloc(headBytes(name))
  bytes.write(MAGIC + text + name, 'latin1')
  return bytes
}

/** Header, name with its NUL, and padding. */
function headBytes(name: ByteName): number {
  checkPath(name.length < MAX_NAME_BYTES, name, 'is too long for a ramdisk')
  return align(HEADER_BYTES + name.length + 1)
}

async function* write(
  root: Directory,
  links: ReadonlyMap<TreeNode, number>,
): AsyncGenerator<Uint8Array> {
  for (const { head, data } of membersOf(root, links)) {
    yield head
    yield* exactly(data)
    const padding = align(data.size) - data.size
    if (padding > 0) yield new Uint8Array(padding)
  }
}

/** A file of another length than its header says would shift every member after it. */
async function* exactly(data: Content): AsyncGenerator<Uint8Array> {
  let rest = data.size
  for await (const chunk of data.chunks()) {
    rest -= chunk.length
    yield chunk
  }
  check(rest === 0, 'ERR_IMAGE_SOURCE_CHANGED', 'a file changed while the image was built')
}

function checkSize(path: ByteName, size: number): void {
  const shown = showName(path)
  check(size <= MAX_UINT32, 'ERR_IMAGE_LIMIT', `${shown} has 4 GiB or more`, {
    details: { path: shown, size, limit: MAX_UINT32 },
  })
}

function align(size: number): number {
  return Math.ceil(size / 4) * 4
}
