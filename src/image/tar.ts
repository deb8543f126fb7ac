// Reads the entries of an uncompressed tar archive: POSIX ustar and pax (IEEE 1003.1, "pax
// interchange format") and GNU's long names and base-256 numbers. Strict: a bad checksum, number or
// pax record is an error. Left out, and refused: sparse files and multi-volume archives.

import { CloisterError, check } from '../errors.ts'
import type { ByteSource } from '../files/index.ts'
import { decodePaxRecords } from './pax.ts'

export type TarType = 'file' | 'link' | 'symlink' | 'directory' | 'device' | 'fifo'

export interface TarEntry {
  readonly type: TarType
  readonly path: string
  /** Of a hard or symbolic link. */
  readonly linkTarget: string
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Where the data of a file lies in the archive. */
  readonly offset: number
  readonly size: number
}

const BLOCK_BYTES = 512
const MAX_EXTENSION_BYTES = 1024 * 1024

const types: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
}

/** Attributes for the next entry, from the extension entries before it. */
type Extensions = Map<string, string>

/**
 * The entries in archive order; ends at the first zero block or at the end of the source.
 * @throws ERR_IMAGE_TAR
 */
export async function* readTar(source: ByteSource): AsyncGenerator<TarEntry> {
  let extensions: Extensions = new Map()
  for (let offset = 0; offset < source.size;) {
    const block = await readBlock(source, offset)
    if (block.every((byte) => byte === 0)) break
    checkChecksum(block, offset)
    const typeflag = String.fromCharCode(block[156] ?? 0)
    const size = readNumber(extensions.get('size'), block, 124, 12)
    offset += BLOCK_BYTES
    if (isExtension(typeflag)) {
      const body = await readExtension(source, offset, size)
      extensions = merge(extensions, typeflag, body)
      offset += align(size)
      continue
    }
    const entry = decodeEntry(block, typeflag, extensions, { offset, size })
    checkTar(offset + entry.size <= source.size, `${entry.path} is cut off`, offset)
    yield entry
    extensions = new Map()
    offset += align(entry.size)
  }
}

function decodeEntry(
  block: Buffer,
  typeflag: string,
  extensions: Extensions,
  data: { readonly offset: number; readonly size: number },
): TarEntry {
  const path = extensions.get('path') ?? headerPath(block)
  const type = types[typeflag]
  checkTar(
    type !== undefined,
    `${path} has the unknown type ${JSON.stringify(typeflag)}`,
    data.offset,
  )
  // Before ustar, a directory was a file whose name ends with a slash.
  const isOldDirectory = type === 'file' && path.endsWith('/')
  return {
    type: isOldDirectory ? 'directory' : type,
    path,
    linkTarget: extensions.get('linkpath') ?? text(block, 157, 100),
    mode: readNumber(undefined, block, 100, 8) & 0o7777,
    uid: readNumber(extensions.get('uid'), block, 108, 8),
    gid: readNumber(extensions.get('gid'), block, 116, 8),
    offset: data.offset,
    // Only files have data, whatever a header says of the others.
    size: type === 'file' && !isOldDirectory ? data.size : 0,
  }
}

function headerPath(block: Buffer): string {
  const name = text(block, 0, 100)
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isPosix ? text(block, 345, 155) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

function isExtension(typeflag: string): boolean {
  return 'xgLK'.includes(typeflag)
}

function merge(extensions: Extensions, typeflag: string, body: Buffer): Extensions {
  if (typeflag === 'L') return new Map([...extensions, ['path', text(body, 0, body.length)]])
  if (typeflag === 'K') return new Map([...extensions, ['linkpath', text(body, 0, body.length)]])
  const records = decodePaxRecords(body)
  const isGlobal = typeflag === 'g'
  for (const key of records.keys()) {
    const isUnsupported = key.startsWith('GNU.sparse.') || (isGlobal && key !== 'comment')
    checkTar(!isUnsupported, `the pax attribute ${key} is not supported`, 0)
  }
  return isGlobal ? extensions : new Map([...extensions, ...records])
}

async function readExtension(source: ByteSource, offset: number, size: number): Promise<Buffer> {
  checkTar(size <= MAX_EXTENSION_BYTES, 'an extension header is too long', offset)
  checkTar(offset + size <= source.size, 'an extension header is cut off', offset)
  return Buffer.from(await source.read(offset, size))
}

async function readBlock(source: ByteSource, offset: number): Promise<Buffer> {
  const block = Buffer.from(await source.read(offset, BLOCK_BYTES))
  checkTar(block.length === BLOCK_BYTES, 'the archive ends within a header', offset)
  return block
}

/** The sum of the header's bytes, with the checksum field itself as eight spaces. */
function checkChecksum(block: Buffer, offset: number): void {
  const sum = block.reduce((total, byte, index) => {
    return total + (index >= 148 && index < 156 ? 0x20 : byte)
  }, 0)
  checkTar(sum === readNumber(undefined, block, 148, 8), 'a header has a wrong checksum', offset)
}

/** A pax decimal, else an octal field, or GNU's base-256 (first bit set). */
function readNumber(
  pax: string | undefined,
  block: Buffer,
  offset: number,
  length: number,
): number {
  if (pax !== undefined) {
    const value = /^\d{1,16}$/.test(pax) ? Number(pax) : NaN
    checkTar(Number.isSafeInteger(value), 'a pax number is malformed', offset)
    return value
  }
  const field = block.subarray(offset, offset + length)
  if (field[0] === 0x80) {
    const value = BigInt(`0x${field.toString('hex', 1)}`)
    checkTar(value <= BigInt(Number.MAX_SAFE_INTEGER), 'a number is too large', offset)
    return Number(value)
  }
  const digits = field.toString('latin1').replace(/^ +|[ \0]+$/g, '')
  checkTar(/^[0-7]*$/.test(digits), 'a number is malformed', offset)
  return digits === '' ? 0 : parseInt(digits, 8)
}

/** Text up to the first NUL. */
function text(bytes: Buffer, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length)
  const end = field.indexOf(0)
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    return decoder.decode(end < 0 ? field : field.subarray(0, end))
  } catch (cause) {
    throw new CloisterError('ERR_IMAGE_TAR', 'a name is not UTF-8', { cause })
  }
}

function align(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
}

function checkTar(condition: boolean, message: string, offset: number): asserts condition {
  check(condition, 'ERR_IMAGE_TAR', message, { details: { offset } })
}
