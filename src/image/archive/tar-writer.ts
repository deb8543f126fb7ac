// Writes a tree as a tar archive for cloister-squashfs: ustar's header in GNU's variant, whose long
// names are bytes of any value, and libarchive's pax records for extended attributes (libarchive
// tar(5), "LIBARCHIVE.xattr"). The archive is a function of the tree alone.

import { CloisterError, check } from '../../errors.ts'
import type { Content } from '../../eif/index.ts'
import { bytesOfName, showName, type ByteName } from '../tree/byte-name.ts'
import { flatten, type Attributes, type Directory, type TreeNode } from '../tree/tree.ts'
import { BLOCK_BYTES, alignToBlock } from './tar-header.ts'

const TYPE = {
  file: '0',
  link: '1',
  symlink: '2',
  directory: '5',
  fifo: '6',
  longTarget: 'K',
  longName: 'L',
  pax: 'x',
} as const
const FIELD = {
  name: 0,
  mode: 100,
  uid: 108,
  gid: 116,
  size: 124,
  mtime: 136,
  checksum: 148,
  type: 156,
  target: 157,
  magic: 257,
} as const
/** A name or target field; a longer one goes before the header, as a member of its own. */
const NAME_BYTES = 100
const GNU_MAGIC = 'ustar  \0'
const XATTR_PREFIX = 'LIBARCHIVE.xattr.'

/** What a header says. */
interface Member {
  readonly type: string
  readonly name: ByteName
  readonly target?: ByteName
  readonly size?: number
  readonly attributes: Attributes
}

const BARE: Attributes = { mode: 0, uid: 0, gid: 0 }

/** The archive of a tree: its root first, a directory before its contents, hard links as links. */
export async function* tarOf(root: Directory): AsyncGenerator<Uint8Array> {
  yield* head({ type: TYPE.directory, name: './', attributes: root.attributes })
  const first = new Map<TreeNode, ByteName>()
  for (const { path, node } of flatten(root)) {
    const target = first.get(node)
    if (target !== undefined) {
      yield* head({ type: TYPE.link, name: path, target, attributes: BARE })
      continue
    }
    if (node.kind !== 'directory' && node.isLinked === true) first.set(node, path)
    yield* member(path, node)
  }
  yield new Uint8Array(2 * BLOCK_BYTES)
}

async function* member(path: ByteName, node: TreeNode): AsyncGenerator<Uint8Array> {
  const { attributes } = node
  if (node.kind === 'directory') yield* head({ type: TYPE.directory, name: path, attributes })
  else if (node.kind === 'symlink')
    yield* head({ type: TYPE.symlink, name: path, target: node.target, attributes })
  else if (node.kind === 'fifo') yield* head({ type: TYPE.fifo, name: path, attributes })
  else if (node.kind === 'file') {
    const { size } = node.content
    yield* head({ type: TYPE.file, name: path, size, attributes })
    yield* contents(node.content)
  } else throw new CloisterError('ERR_IMAGE_ENTRY', `${showName(path)} is a ${node.kind}`)
}

/** A file of another length than its header says would shift every member after it. */
async function* contents(content: Content): AsyncGenerator<Uint8Array> {
  let rest = content.size
  for await (const chunk of content.chunks()) {
    rest -= chunk.length
    if (rest < 0) break
    yield chunk
  }
  check(rest === 0, 'ERR_IMAGE_SOURCE_CHANGED', 'a file changed while the image was built')
  yield* padding(content.size)
}

function* head(member: Member): Generator<Uint8Array> {
  const { name, target = '', attributes } = member
  if (name.length > NAME_BYTES) yield* extension(TYPE.longName, bytesOfName(`${name}\0`))
  if (target.length > NAME_BYTES) yield* extension(TYPE.longTarget, bytesOfName(`${target}\0`))
  const records = paxRecords(attributes)
  if (records.length > 0) yield* extension(TYPE.pax, records)
  yield encodeHeader(member)
}

/** A member that says more about the next one. */
function* extension(type: string, body: Uint8Array): Generator<Uint8Array> {
  yield encodeHeader({ type, name: './@', size: body.length, attributes: BARE })
  yield body
  yield* padding(body.length)
}

function* padding(size: number): Generator<Uint8Array> {
  const missing = alignToBlock(size) - size
  if (missing > 0) yield new Uint8Array(missing)
}

function encodeHeader({ type, name, target = '', size = 0, attributes }: Member): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES)
  block.write(name.slice(0, NAME_BYTES), FIELD.name, 'latin1')
  writeNumber(block, FIELD.mode, 8, attributes.mode)
  writeNumber(block, FIELD.uid, 8, attributes.uid)
  writeNumber(block, FIELD.gid, 8, attributes.gid)
  writeNumber(block, FIELD.size, 12, size)
  writeNumber(block, FIELD.mtime, 12, attributes.mtime ?? 0)
  block.write(type, FIELD.type, 'latin1')
  block.write(target.slice(0, NAME_BYTES), FIELD.target, 'latin1')
  block.write(GNU_MAGIC, FIELD.magic, 'latin1')
  block.fill(' ', FIELD.checksum, FIELD.checksum + 8)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0`, FIELD.checksum, 'latin1')
  return block
}

/** Octal, or GNU's base-256 for what does not fit. */
function writeNumber(block: Buffer, offset: number, length: number, value: number): void {
  const digits = value.toString(8).padStart(length - 1, '0')
  if (digits.length < length) block.write(digits, offset, 'latin1')
  else {
    block[offset] = 0x80
    block.writeBigUInt64BE(BigInt(value), offset + length - 8)
    block[offset] |= 0x80
  }
}

function paxRecords({ xattrs }: Attributes): Buffer {
  const records = [...(xattrs ?? [])]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => {
      const key = XATTR_PREFIX + escape(name)
      return record(`${key}=${Buffer.from(value).toString('base64')}`)
    })
  return Buffer.from(records.join(''), 'latin1')
}

/** Of the name's bytes (one character each), those that are not plain text as `%XX`. */
function escape(name: string): string {
  return name.replace(/[^!-$&-<>-~]/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
  })
}

/** The number before a record counts itself. */
function record(text: string): string {
  const rest = text.length + 2
  let length = rest + String(rest).length
  if (String(length).length + rest !== length) length = String(length).length + rest
  return `${String(length)} ${text}\n`
}
