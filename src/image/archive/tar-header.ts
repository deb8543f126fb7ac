// The 512-byte header block of a tar archive: POSIX ustar (IEEE 1003.1, "ustar Interchange Format"),
// with GNU's and star's variants of it.

import { check } from '../../errors.ts'
import type { ByteName } from '../tree/byte-name.ts'

export const BLOCK_BYTES = 512
/** Where the fields lie: offset and length. */
const NAME = [0, 100] as const
const MODE = [100, 8] as const
const UID = [108, 8] as const
const GID = [116, 8] as const
const SIZE = [124, 12] as const
const MTIME = [136, 12] as const
const CHECKSUM = [148, 8] as const
const TYPE = 156
const LINK_NAME = [157, 100] as const
const PREFIX = [345, 155] as const
/** star keeps times in the last 24 bytes of the prefix, and its mark at the end of the block. */
const STAR_PREFIX = [345, 131] as const
const STAR_MARK = [508, 4] as const

type Field = readonly [offset: number, length: number]

export interface TarHeader {
  readonly typeflag: string
  readonly path: ByteName
  readonly linkTarget: ByteName
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Seconds since 1970; a time before that is 0. */
  readonly mtime: number
  /** Bytes of data in the archive, whatever the type. */
  readonly size: number
  readonly block: Buffer
}

/**
 * Decodes a block; `offset` is where it lies, for the error.
 * @throws ERR_IMAGE_TAR
 */
export function decodeHeader(block: Buffer, offset: number): TarHeader {
  checkTar(block.length === BLOCK_BYTES, 'the archive ends within a header', offset)
  checkTar(sumOf(block) === readNumber(block, CHECKSUM), 'a header has a wrong checksum', offset)
  const prefix = prefixOf(block)
  const name = readText(block, NAME)
  return {
    typeflag: String.fromCharCode(block[TYPE] ?? 0),
    path: prefix === '' ? name : `${prefix}/${name}`,
    linkTarget: readText(block, LINK_NAME),
    mode: readNumber(block, MODE) & 0o7777,
    uid: readNumber(block, UID),
    gid: readNumber(block, GID),
    mtime: readTime(block),
    size: readNumber(block, SIZE),
    block,
  }
}

/** Only POSIX headers have a prefix; GNU's hold times in its place. */
function prefixOf(block: Buffer): ByteName {
  if (block.toString('latin1', 257, 263) !== 'ustar\0') return ''
  return readText(block, readText(block, STAR_MARK) === 'tar' ? STAR_PREFIX : PREFIX)
}

/** The sum of the header's bytes, with the checksum field itself as eight spaces. */
function sumOf(block: Buffer): number {
  const [start, length] = CHECKSUM
  let sum = length * 0x20
  for (let index = 0; index < BLOCK_BYTES; index++) {
    if (index < start || index >= start + length) sum += block[index] ?? 0
  }
  return sum
}

/** As any number, but what no clock shows is no error: in base-256 it may be negative, or larger than a safe integer. */
function readTime(block: Buffer): number {
  const [offset, length] = MTIME
  if (block[offset] === 0xff) return 0
  if (block[offset] !== 0x80) return readNumber(block, MTIME)
  return Number(`0x${block.toString('hex', offset + 1, offset + length)}`)
}

/**
 * An octal field, or GNU's base-256 (first bit set).
 * @throws ERR_IMAGE_TAR
 */
export function readNumber(block: Buffer, [offset, length]: Field): number {
  const field = block.subarray(offset, offset + length)
  if (field[0] === 0x80) {
    const value = BigInt(`0x${field.toString('hex', 1)}`)
    checkTar(value <= BigInt(Number.MAX_SAFE_INTEGER), 'a number is too large', offset)
    return Number(value)
  }
  const digits =
    field
      .toString('latin1')
      .replace(/^[ \0]+/, '')
      .split('\0', 1)[0] ?? ''
  checkTar(/^[0-7]* *$/.test(digits), 'a number is malformed', offset)
  return digits.trim() === '' ? 0 : parseInt(digits, 8)
}

/** Text up to the first NUL. */
export function readText(bytes: Buffer, [offset, length]: Field): ByteName {
  const field = bytes.subarray(offset, offset + length)
  const end = field.indexOf(0)
  return (end < 0 ? field : field.subarray(0, end)).toString('latin1')
}

/** Data is padded to whole blocks. */
export function alignToBlock(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
}

/** @throws ERR_IMAGE_TAR */
export function checkTar(condition: boolean, message: string, offset: number): asserts condition {
  check(condition, 'ERR_IMAGE_TAR', message, { details: { offset } })
}
