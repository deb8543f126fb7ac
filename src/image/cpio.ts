// The initramfs format: an uncompressed "newc" cpio (Linux Documentation/driver-api/early-userspace/
// buffer-format.rst). The archive is a function of the tree alone: names in byte order, inode
// numbers counted, every time 0. Extended attributes and file capabilities have no place in it.

import { check } from '../errors.ts'
import type { Content } from '../eif/index.ts'
import { batch } from './batch.ts'
import { flatten, type Directory, type PathEntry, type TreeNode } from './tree.ts'

const MAGIC = '070701'
const HEADER_BYTES = 110
const TRAILER = 'TRAILER!!!'
const MAX_UINT32 = 0xffff_ffff
/** PATH_MAX with the terminating NUL. */
const MAX_NAME_BYTES = 4096

const FILE_TYPE_BITS = { directory: 0o040000, file: 0o100000, symlink: 0o120000 } as const
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

/** The archive of a tree, without a member for its root; its length is a multiple of 4. */
export function cpioOf(root: Directory): Content {
  const members = membersOf(flatten(root))
  const size = members.reduce((sum, { head, data }) => sum + head.length + align(data.size), 0)
  return { size, chunks: () => batch(write(members)) }
}

function membersOf(entries: readonly PathEntry[]): readonly Member[] {
  const members = withInodes(entries).map(({ path, node, inode }) => {
    inode.written += 1
    // Hard links carry their data once, with the last name, as GNU cpio writes them.
    const data = inode.written === inode.links ? dataOf(node) : nothing
    checkSize(path, data.size)
    return { head: encodeHead(path, node, inode, data.size), data }
  })
  return [...members, { head: encodeTrailer(), data: nothing }]
}

/** Numbers the nodes in archive order, from 1; names of one node share its inode. */
function withInodes(entries: readonly PathEntry[]): readonly (PathEntry & { inode: Inode })[] {
  const inodes = new Map<TreeNode, Inode>()
  return entries.map(({ path, node }) => {
    const inode = inodes.get(node) ?? { number: inodes.size + 1, links: 0, written: 0 }
    inode.links += 1
    inodes.set(node, inode)
    return { path, node, inode }
  })
}

function dataOf(node: TreeNode): Content {
  if (node.kind === 'file') return node.content
  if (node.kind === 'directory') return nothing
  const target = Buffer.from(node.target)
  return { size: target.length, chunks: () => [target] }
}

function encodeHead(path: string, node: TreeNode, inode: Inode, size: number): Uint8Array {
  const { mode, uid, gid } = node.attributes
  const links = node.kind === 'directory' ? DIRECTORY_LINKS : inode.links
  return encodeHeader(path, [
    inode.number,
    FILE_TYPE_BITS[node.kind] | mode,
    uid,
    gid,
    links,
    0, // mtime
    size,
  ])
}

function encodeTrailer(): Uint8Array {
  return encodeHeader(TRAILER, [0, 0, 0, 0, 1, 0, 0])
}

/** `fields` are those before the device numbers, all of which are 0 here, as is the checksum. */
function encodeHeader(name: string, fields: readonly number[]): Uint8Array {
  const nameBytes = Buffer.byteLength(name) + 1
  check(nameBytes <= MAX_NAME_BYTES, 'ERR_IMAGE_PATH', `${name} is too long for a ramdisk`, {
    details: { path: name },
  })
  const numbers = [...fields, 0, 0, 0, 0, nameBytes, 0]
  const text = numbers.map((number) => number.toString(16).toUpperCase().padStart(8, '0')).join('')
  const bytes = Buffer.alloc(align(HEADER_BYTES + nameBytes))
  bytes.write(MAGIC + text + name)
  return bytes
}

async function* write(members: readonly Member[]): AsyncGenerator<Uint8Array> {
  for (const { head, data } of members) {
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

function checkSize(path: string, size: number): void {
  check(size <= MAX_UINT32, 'ERR_IMAGE_LIMIT', `${path} is 4 GiB or more`, {
    details: { path, size, limit: MAX_UINT32 },
  })
}

function align(size: number): number {
  return Math.ceil(size / 4) * 4
}
