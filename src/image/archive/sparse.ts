// Sparse files in tar archives, in the four forms that GNU tar and libarchive write (GNU tar manual,
// "Storing Sparse Files"): the old GNU header, and the pax formats 0.0, 0.1 and 1.0. The archive holds
// the data of a file's extents one after the other; what lies between them is zeros.

import type { Content } from '../../eif/index.ts'
import { chunksOf, type ByteSource } from '../../files/index.ts'
import { SPARSE_PREFIX, type PaxRecord } from './pax.ts'
import { BLOCK_BYTES, alignToBlock, checkTar, readNumber } from './tar-header.ts'

/** Where the data of a file lies in the archive. */
export interface DataRange {
  readonly offset: number
  readonly size: number
}

/** Offsets in the file and lengths, in turn. */
type SparseMap = readonly number[]

const ZEROS = new Uint8Array(64 * 1024)
const MAX_EXTENTS = 1_000_000
const LINE_FEED = 0x0a
const ZERO = 0x30
const NINE = 0x39
const MALFORMED_MAP = 'a sparse map is malformed'
/** The old GNU header: entries of offset and length, each 12 bytes. */
const OLD_ENTRIES = { offset: 386, count: 4, isExtended: 482, size: 483 } as const
const EXTENSION_ENTRIES = { offset: 0, count: 21, isExtended: 504 } as const

/** What a file's sparse map says: its contents, and where the archive goes on. */
export interface SparseFile {
  readonly content: Content
  /** Bytes of memory that the map takes. */
  readonly mapBytes: number
  /** Offset after the headers and data of the file. */
  readonly end: number
}

/** The true name of a sparse file, whose header has another one in formats 0.1 and 1.0. */
export function paxSparseName(records: readonly PaxRecord[]): string | undefined {
  return valueOf(records, 'name')
}

/**
 * Whether pax records describe a sparse file in format 0.0, 0.1 or 1.0: any key that begins with
 * `GNU.sparse.`.
 */
export function isPaxSparse(records: readonly PaxRecord[]): boolean {
  return records.some(([key]) => key.startsWith(SPARSE_PREFIX))
}

/** @throws ERR_IMAGE_TAR */
export async function readPaxSparse(
  source: ByteSource,
  data: DataRange,
  records: readonly PaxRecord[],
): Promise<SparseFile> {
  const size = decimal(valueOf(records, 'realsize') ?? valueOf(records, 'size'), data.offset)
  const end = data.offset + alignToBlock(data.size)
  if (valueOf(records, 'major') === '1') {
    const { map, length } = await readMapFromData(source, data)
    const rest = { offset: data.offset + length, size: data.size - length }
    return { ...sparseContent(source, rest, map, size), end }
  }
  const inline = valueOf(records, 'map')
    ?.split(',')
    .map((text) => decimal(text, data.offset))
  const map = inline ?? repeatedRecords(records, data.offset)
  return { ...sparseContent(source, data, map, size), end }
}

/** @throws ERR_IMAGE_TAR */
export async function readOldSparse(
  source: ByteSource,
  data: DataRange,
  header: Buffer,
): Promise<SparseFile> {
  const size = readNumber(header, [OLD_ENTRIES.size, 12])
  const map = readEntries(header, OLD_ENTRIES)
  let { offset } = data
  for (let isExtended = header[OLD_ENTRIES.isExtended]; isExtended === 1;) {
    const block = Buffer.from(await source.read(offset, BLOCK_BYTES))
    checkTar(block.length === BLOCK_BYTES, 'a sparse map is truncated', offset)
    map.push(...readEntries(block, EXTENSION_ENTRIES))
    checkTar(map.length <= 2 * MAX_EXTENTS, 'a file has too many extents', offset)
    isExtended = block[EXTENSION_ENTRIES.isExtended]
    offset += BLOCK_BYTES
  }
  const file = sparseContent(source, { offset, size: data.size }, map, size)
  return { ...file, end: offset + alignToBlock(data.size) }
}

function readEntries(
  block: Buffer,
  { offset, count }: { readonly offset: number; readonly count: number },
): number[] {
  const map: number[] = []
  for (let index = 0; index < count; index++) {
    const at = offset + 24 * index
    if (block[at] === 0) break
    map.push(readNumber(block, [at, 12]), readNumber(block, [at + 12, 12]))
  }
  return map
}

/** Format 1.0: decimal numbers and line feeds before the data, the first the number of extents. */
async function readMapFromData(
  source: ByteSource,
  data: DataRange,
): Promise<{ readonly map: SparseMap; readonly length: number }> {
  const map: number[] = []
  let [value, digits] = [0, 0]
  let wanted: number | undefined
  for (let length = 0; length < data.size;) {
    const block = await source.read(data.offset + length, BLOCK_BYTES)
    length += BLOCK_BYTES
    for (const byte of block) {
      if (map.length === wanted) break
      if (byte !== LINE_FEED) {
        checkTar(byte >= ZERO && byte <= NINE && digits < 15, MALFORMED_MAP, data.offset)
        value = 10 * value + byte - ZERO
        digits += 1
        continue
      }
      checkTar(digits > 0, MALFORMED_MAP, data.offset)
      if (wanted === undefined) wanted = 2 * value
      else map.push(value)
      checkTar(wanted <= 2 * MAX_EXTENTS, 'a file has too many extents', data.offset)
      value = digits = 0
    }
    if (map.length === wanted) return { map, length }
  }
  checkTar(false, 'a sparse map is truncated', data.offset)
}

/** Format 0.0: one record for each number. */
function repeatedRecords(records: readonly PaxRecord[], offset: number): SparseMap {
  const keys = [`${SPARSE_PREFIX}offset`, `${SPARSE_PREFIX}numbytes`]
  const entries = records.filter(([key]) => keys.includes(key))
  const isInTurn = entries.every(([key], index) => key === keys[index % 2])
  checkTar(isInTurn, MALFORMED_MAP, offset)
  return entries.map(([, value]) => decimal(value, offset))
}

function sparseContent(
  source: ByteSource,
  data: DataRange,
  map: SparseMap,
  size: number,
): Omit<SparseFile, 'end'> {
  checkTar(map.length % 2 === 0, MALFORMED_MAP, data.offset)
  let position = 0
  let stored = 0
  for (let index = 0; index < map.length; index += 2) {
    const [start = 0, length = 0] = [map[index], map[index + 1]]
    checkTar(start >= position, 'the extents of a sparse file overlap', data.offset)
    position = start + length
    stored += length
  }
  checkTar(position <= size, 'a sparse file is longer than its size', data.offset)
  checkTar(stored <= data.size, 'the data of a sparse file is truncated', data.offset)
  const extents = Float64Array.from(map)
  const content = { size, chunks: () => expand(source, data.offset, extents, size) }
  return { content, mapBytes: extents.byteLength }
}

async function* expand(
  source: ByteSource,
  dataOffset: number,
  extents: Float64Array,
  size: number,
): AsyncGenerator<Uint8Array> {
  let position = 0
  let offset = dataOffset
  for (let index = 0; index < extents.length; index += 2) {
    const [start = 0, length = 0] = [extents[index], extents[index + 1]]
    yield* zeros(start - position)
    yield* chunksOf(source, offset, length)
    offset += length
    position = start + length
  }
  yield* zeros(size - position)
}

function* zeros(length: number): Generator<Uint8Array> {
  for (let rest = length; rest > 0; rest -= ZEROS.length) {
    yield ZEROS.subarray(0, Math.min(rest, ZEROS.length))
  }
}

function valueOf(records: readonly PaxRecord[], name: string): string | undefined {
  return records.findLast(([key]) => key === SPARSE_PREFIX + name)?.[1]
}

function decimal(text: string | undefined, offset: number): number {
  const value = text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : NaN
  checkTar(Number.isSafeInteger(value), 'a pax number is malformed', offset)
  return value
}
