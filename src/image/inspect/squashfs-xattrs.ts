// Extended attributes of a SquashFS 4.0 image (Linux fs/squashfs/xattr_id.c): a table of sets, each a run of
// names and values in a stream of metadata.

import { checkSquashfs, type SquashfsBlocks } from './squashfs-blocks.ts'

const PREFIXES = ['user.', 'trusted.', 'security.']
const SET_BYTES = 16
const HEADER_BYTES = 16
const METADATA_BYTES = 8192
const MAX_SET_BYTES = 1024 * 1024

/** A set in words that are equal for equal sets: each name with its value in hexadecimal. */
export async function readXattrs(
  blocks: SquashfsBlocks,
  table: number | undefined,
  index: number,
): Promise<string> {
  checkSquashfs(table !== undefined, 'there are no extended attributes')
  const head = await blocks.raw(table, HEADER_BYTES)
  checkSquashfs(index < head.readUInt32LE(8), 'a set of attributes is not in the table')
  const at = index * SET_BYTES
  const place = table + HEADER_BYTES + 8 * Math.floor(at / METADATA_BYTES)
  const start = Number((await blocks.raw(place, 8)).readBigUInt64LE())
  const inBlock = { block: 0, offset: at % METADATA_BYTES }
  const { bytes: set } = await blocks.metadata(start, inBlock, SET_BYTES)
  const size = set.readUInt32LE(12)
  checkSquashfs(size <= MAX_SET_BYTES, 'a set of attributes is too long')
  const reference = set.readBigUInt64LE(0)
  const pairs = { block: Number(reference >> 16n), offset: Number(reference & 0xffffn) }
  const stream = Number(head.readBigUInt64LE(0))
  const { bytes } = await blocks.metadata(stream, pairs, size)
  return textOf(bytes, set.readUInt32LE(8))
}

function textOf(bytes: Buffer, count: number): string {
  const words: string[] = []
  let at = 0
  for (let index = 0; index < count; index++) {
    const prefix = PREFIXES[bytes.readUInt16LE(at)]
    checkSquashfs(prefix !== undefined, 'an attribute is of an unknown kind')
    const nameEnd = at + 4 + bytes.readUInt16LE(at + 2)
    const valueEnd = nameEnd + 4 + bytes.readUInt32LE(nameEnd)
    checkSquashfs(valueEnd <= bytes.length, 'an attribute is truncated')
    const name = bytes.toString('latin1', at + 4, nameEnd)
    words.push(`${prefix}${name}=${bytes.toString('hex', nameEnd + 4, valueEnd)}`)
    at = valueEnd
  }
  return words.join(' ')
}
