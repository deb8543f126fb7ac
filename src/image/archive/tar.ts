// Reads the entries of an uncompressed tar archive: POSIX ustar and pax (IEEE 1003.1, "pax
// interchange format"), GNU's long names, base-256 numbers and sparse files. Strict: a bad checksum,
// number or pax record is an error. Left out, and refused: multi-volume archives. Global pax headers
// are passed over, as container runtimes do.

import type { Content } from '../../eif/index.ts'
import { chunksOf, type ByteSource } from '../../files/index.ts'
import type { ByteName } from '../tree/byte-name.ts'
import { decodePaxRecords, XATTR_PREFIX, type PaxRecord } from './pax.ts'
import { readAhead } from './read-ahead.ts'
import {
  isPaxSparse,
  paxSparseName,
  readOldSparse,
  readPaxSparse,
  type DataRange,
} from './sparse.ts'
import {
  BLOCK_BYTES,
  alignToBlock,
  checkTar,
  decodeHeader,
  readText,
  type TarHeader,
} from './tar-header.ts'
import { imageTime } from '../tree/times.ts'
import type { UnpackBudget } from '../tree/unpack-budget.ts'

export type TarType = 'file' | 'link' | 'symlink' | 'directory' | 'device' | 'fifo'

export interface TarEntry {
  readonly type: TarType
  readonly path: ByteName
  /** Of a hard or symbolic link. */
  readonly linkTarget: ByteName
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** As an image can carry it: see `imageTime`. */
  readonly mtime: number
  readonly xattrs?: ReadonlyMap<string, Uint8Array>
  /** Of a file; empty for the other types. */
  readonly content: Content
}

/** The extension entries before an entry may have this many bytes together. */
const MAX_EXTENSION_BYTES = 1024 * 1024
const GNU_LONG_NAME = 'L'
const GNU_LONG_LINK = 'K'
const GNU_SPARSE = 'S'

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
  [GNU_SPARSE]: 'file',
}

const NOTHING: Content = { size: 0, chunks: () => [] }

/**
 * The entries in archive order; ends at the first zero block or at the end of the source. The
 * budget pays for extension headers; entries, names and contents are the reader's to count.
 * @throws ERR_IMAGE_TAR, ERR_IMAGE_LIMIT
 */
export async function* readTar(
  archive: ByteSource,
  budget: UnpackBudget,
): AsyncGenerator<TarEntry> {
  const source = readAhead(archive)
  let extensions = new Extensions()
  for (let offset = 0; offset < source.size;) {
    const block = Buffer.from(await source.read(offset, BLOCK_BYTES))
    if (block.every((byte) => byte === 0)) break
    const header = decodeHeader(block, offset)
    offset += BLOCK_BYTES
    if ('xgLK'.includes(header.typeflag)) {
      budget.takeMetadata(BLOCK_BYTES + header.size)
      await extensions.add(source, header, offset)
      offset += alignToBlock(header.size)
      continue
    }
    const data = { offset, size: extensions.number('size') ?? header.size }
    const { entry, end } = await readEntry(source, { header, extensions, data, budget })
    checkTar(end <= alignToBlock(source.size), `${entry.path} is truncated`, offset)
    yield entry
    extensions = new Extensions()
    offset = end
  }
}

/** What extension entries say of the next entry. */
class Extensions {
  readonly records: PaxRecord[] = []
  #bytes = 0

  async add(source: ByteSource, { typeflag, size }: TarHeader, offset: number): Promise<void> {
    this.#bytes += size
    checkTar(this.#bytes <= MAX_EXTENSION_BYTES, 'extension headers are too long', offset)
    checkTar(offset + size <= source.size, 'an extension header is truncated', offset)
    const body = Buffer.from(await source.read(offset, size))
    const name = readText(body, [0, body.length])
    if (typeflag === GNU_LONG_NAME) this.records.push(['path', name])
    else if (typeflag === GNU_LONG_LINK) this.records.push(['linkpath', name])
    else if (typeflag === 'x') this.records.push(...decodePaxRecords(body))
  }

  /** The last value of a key; an empty one means that the header's counts. */
  value(key: string): string | undefined {
    const value = this.records.findLast(([name]) => name === key)?.[1]
    return value === '' ? undefined : value
  }

  number(key: string): number | undefined {
    const text = this.value(key)
    if (text === undefined) return undefined
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    checkTar(Number.isSafeInteger(value), `the pax attribute ${key} is not a number`, 0)
    return value
  }

  /** In whole seconds, whatever sign and fraction it has (IEEE 1003.1, "pax Extended Header File Times"). */
  time(key: string): number | undefined {
    const text = this.value(key)
    if (text === undefined) return undefined
    const [, seconds] = /^([+-]?\d+)(\.\d*)?$/.exec(text) ?? []
    checkTar(seconds !== undefined, `the pax attribute ${key} is not a time`, 0)
    return Number(seconds)
  }

  xattrs(): ReadonlyMap<string, Uint8Array> | undefined {
    const found = this.records.filter(([key]) => key.startsWith(XATTR_PREFIX))
    if (found.length === 0) return undefined
    return new Map(
      found.map(([key, value]) => [key.slice(XATTR_PREFIX.length), Buffer.from(value, 'latin1')]),
    )
  }
}

async function readEntry(
  source: ByteSource,
  member: Member,
): Promise<{ readonly entry: TarEntry; readonly end: number }> {
  const { header, extensions, data } = member
  const path = paxSparseName(extensions.records) ?? extensions.value('path') ?? header.path
  const type = typeOf(header, path, data.offset)
  const xattrs = extensions.xattrs()
  const { content, end } = await readContent(source, type, member)
  const entry = {
    type,
    path,
    linkTarget: extensions.value('linkpath') ?? header.linkTarget,
    mode: header.mode,
    uid: extensions.number('uid') ?? header.uid,
    gid: extensions.number('gid') ?? header.gid,
    mtime: imageTime(extensions.time('mtime') ?? header.mtime),
    content,
    ...(xattrs !== undefined && { xattrs }),
  }
  return { entry, end }
}

function typeOf({ typeflag }: TarHeader, path: ByteName, offset: number): TarType {
  const type = types[typeflag]
  checkTar(type !== undefined, `unknown entry type ${JSON.stringify(typeflag)}`, offset)
  // Before ustar, a directory was a file whose name ends with a slash.
  return type === 'file' && path.endsWith('/') ? 'directory' : type
}

interface Member {
  readonly header: TarHeader
  readonly extensions: Extensions
  readonly data: DataRange
  readonly budget: UnpackBudget
}

/** Only files have data, whatever a header says of the others. */
async function readContent(
  source: ByteSource,
  type: TarType,
  { header, extensions, data, budget }: Member,
): Promise<{ readonly content: Content; readonly end: number }> {
  if (type !== 'file') return { content: NOTHING, end: data.offset }
  if (header.typeflag === GNU_SPARSE || isPaxSparse(extensions.records)) {
    const sparse =
      header.typeflag === GNU_SPARSE
        ? await readOldSparse(source, data, header.block)
        : await readPaxSparse(source, data, extensions.records)
    budget.takeMetadata(sparse.mapBytes)
    budget.takeBytes(sparse.content.size)
    return sparse
  }
  const { offset, size } = data
  checkTar(offset + size <= source.size, 'a file is truncated', offset)
  return {
    content: { size, chunks: () => chunksOf(source, offset, size) },
    end: offset + alignToBlock(size),
  }
}
