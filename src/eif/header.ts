// The 548-byte header of an EIF: aws-nitro-enclaves-image-format 0.5.0. The reader refuses every header
// that AWS's writer could not have written, except for the two default fields, which are free.

import { check } from '../errors.ts'
import {
  EIF_VERSION,
  FLAG_AARCH64,
  HEADER,
  HEADER_BYTES,
  MAGIC,
  MAX_SECTIONS,
  MIN_SECTIONS,
  type Architecture,
} from './layout.ts'

/** A row of the header's section table. */
export interface TableRow {
  /** File offset of the section HEADER. */
  readonly offset: number
  /** Bytes of data, without the section header. */
  readonly size: number
}

export interface EifHeader {
  readonly architecture: Architecture
  readonly defaultMemoryBytes: number
  readonly defaultCpus: number
  readonly table: readonly TableRow[]
  /** CRC-32/ISO-HDLC over all of the file but these four bytes. */
  readonly crc32: number
}

/** @throws ERR_EIF_MAGIC unless there are too few bytes to tell. */
export function checkMagic(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isEif = bytes.length < 4 || view.getUint32(HEADER.magic) === MAGIC
  check(isEif, 'ERR_EIF_MAGIC', 'the file does not begin with ".eif"')
}

/**
 * Decodes 548 bytes.
 * @throws ERR_EIF_MAGIC, ERR_EIF_VERSION, ERR_EIF_HEADER
 */
export function decodeHeader(bytes: Uint8Array): EifHeader {
  checkMagic(bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  const version = view.getUint16(HEADER.version)
  check(
    version === EIF_VERSION,
    'ERR_EIF_VERSION',
    `EIF version ${String(version)} is not supported`,
    {
      details: { version },
    },
  )
  const flags = view.getUint16(HEADER.flags)
  checkField(flags <= FLAG_AARCH64, 'flags', flags)
  checkZero(view.getUint16(HEADER.reserved), 'reserved')
  checkZero(view.getUint32(HEADER.unused), 'unused')
  return {
    architecture: flags === FLAG_AARCH64 ? 'aarch64' : 'x86_64',
    defaultMemoryBytes: readSafeUint64(view, HEADER.defaultMemory, 'default_mem'),
    defaultCpus: readSafeUint64(view, HEADER.defaultCpus, 'default_cpus'),
    table: decodeTable(view),
    crc32: view.getUint32(HEADER.crc32),
  }
}

/** Encodes 548 bytes. */
export function encodeHeader(header: EifHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(HEADER.magic, MAGIC)
  view.setUint16(HEADER.version, EIF_VERSION)
  view.setUint16(HEADER.flags, header.architecture === 'aarch64' ? FLAG_AARCH64 : 0)
  view.setBigUint64(HEADER.defaultMemory, BigInt(header.defaultMemoryBytes))
  view.setBigUint64(HEADER.defaultCpus, BigInt(header.defaultCpus))
  view.setUint16(HEADER.sectionCount, header.table.length)
  for (const [index, { offset, size }] of header.table.entries()) {
    view.setBigUint64(HEADER.sectionOffsets + 8 * index, BigInt(offset))
    view.setBigUint64(HEADER.sectionSizes + 8 * index, BigInt(size))
  }
  view.setUint32(HEADER.crc32, header.crc32)
  return bytes
}

function decodeTable(view: DataView): readonly TableRow[] {
  const count = view.getUint16(HEADER.sectionCount)
  checkField(count >= MIN_SECTIONS && count <= MAX_SECTIONS, 'num_sections', count)
  const rows = Array.from({ length: MAX_SECTIONS }, (_, index) => ({
    offset: readSafeUint64(view, HEADER.sectionOffsets + 8 * index, 'section_offsets'),
    size: readSafeUint64(view, HEADER.sectionSizes + 8 * index, 'section_sizes'),
  }))
  for (const row of rows.slice(count)) {
    checkZero(row.offset, 'section_offsets')
    checkZero(row.size, 'section_sizes')
  }
  return rows.slice(0, count)
}

function readSafeUint64(view: DataView, offset: number, field: string): number {
  const value = view.getBigUint64(offset)
  checkField(value <= BigInt(Number.MAX_SAFE_INTEGER), field, value)
  return Number(value)
}

function checkZero(value: number, field: string): void {
  checkField(value === 0, field, value)
}

function checkField(condition: boolean, field: string, value: number | bigint): void {
  check(
    condition,
    'ERR_EIF_HEADER',
    `the header field ${field} has the invalid value ${String(value)}`,
    {
      details: { field, value: String(value) },
    },
  )
}
