// Section headers, and the rules that make the header's table and the sections one file: format
// description, sections 1 and 7. Stricter than AWS's reader (which walks the file and ignores the
// table) and than QEMU's (which follows the table and allows gaps): here both must agree, but for one
// fault of nitro-cli's. Its sign-eif, when it replaces a signature, leaves the old one's size in the
// table; such images are in the field and are read.

import { check } from '../errors.ts'
import type { TableRow } from './header.ts'
import {
  MAX_BUFFERED_BYTES,
  SECTION_HEADER_BYTES,
  SECTION_TYPES,
  type SectionType,
} from './layout.ts'

export interface EifSection {
  readonly type: SectionType
  /** File offset of the section's data. */
  readonly offset: number
  /** Bytes of data. */
  readonly size: number
  /** What the header's table says instead, of a signature that nitro-cli replaced. */
  readonly sizeInTable?: number
}

const typeNames = new Map<number, SectionType>(
  (Object.keys(SECTION_TYPES) as SectionType[]).map((name) => [SECTION_TYPES[name], name]),
)

/** Encodes 12 bytes. */
export function encodeSectionHeader(type: SectionType, size: number): Uint8Array {
  const bytes = new Uint8Array(SECTION_HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, SECTION_TYPES[type])
  view.setBigUint64(4, BigInt(size))
  return bytes
}

/**
 * Decodes 12 bytes, which must say what the table says; a signature's size counts, where they differ.
 * @throws ERR_EIF_SECTION_TYPE, ERR_EIF_SECTION_TABLE
 */
export function decodeSectionHeader(bytes: Uint8Array, row: TableRow): EifSection {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SECTION_HEADER_BYTES)
  const number = view.getUint16(0)
  const type = typeNames.get(number)
  const details = { offset: row.offset }
  check(type !== undefined, 'ERR_EIF_SECTION_TYPE', `unknown section type ${String(number)}`, {
    details: { ...details, type: number },
  })
  const flags = view.getUint16(2)
  check(flags === 0, 'ERR_EIF_SECTION_TABLE', `the flags of a ${type} section are not zero`, {
    details: { ...details, flags },
  })
  const size = Number(view.getBigUint64(4))
  const isStated = size === row.size || type === 'signature'
  check(
    isStated,
    'ERR_EIF_SECTION_TABLE',
    `the section table and the header of a ${type} section state different sizes`,
    {
      details: { ...details, inTable: row.size, inSection: size },
    },
  )
  const offset = row.offset + SECTION_HEADER_BYTES
  return { type, offset, size, ...(size !== row.size && { sizeInTable: row.size }) }
}

/**
 * Checks that a section begins where the one before it ends, and ends within the file.
 * @param end - Where the section before it ends.
 * @throws ERR_EIF_SECTION_TABLE, ERR_EIF_TRUNCATED
 */
export function checkPlace(row: TableRow, end: number, fileBytes: number): void {
  const { offset, size } = row
  check(offset === end, 'ERR_EIF_SECTION_TABLE', 'sections overlap or leave a gap', {
    details: { expected: end, actual: offset },
  })
  const next = end + SECTION_HEADER_BYTES + size
  check(next <= fileBytes, 'ERR_EIF_TRUNCATED', 'a section ends after the file', {
    details: { offset, end: next, fileBytes },
  })
}

/** @throws ERR_EIF_TRAILING_BYTES unless the sections fill the file */
export function checkEnd(end: number, fileBytes: number): void {
  check(end === fileBytes, 'ERR_EIF_TRAILING_BYTES', 'unexpected bytes after the last section', {
    details: { end, fileBytes },
  })
}

/**
 * Checks which sections there are: one kernel, cmdline and metadata, a ramdisk or more after the
 * kernel, at most one signature, none of them empty (but for the cmdline and ramdisks, which AWS's tools
 * write) or too long.
 * @throws ERR_EIF_SECTION_MISSING, ERR_EIF_SECTION_REPEATED, ERR_EIF_SECTION_ORDER,
 *   ERR_EIF_SECTION_SIZE
 */
export function checkSections(sections: readonly EifSection[]): void {
  for (const type of ['kernel', 'cmdline', 'metadata', 'ramdisk'] as const) {
    check(count(sections, type) > 0, 'ERR_EIF_SECTION_MISSING', `the ${type} section is missing`, {
      details: { type },
    })
  }
  for (const type of ['kernel', 'cmdline', 'metadata', 'signature'] as const) {
    check(
      count(sections, type) <= 1,
      'ERR_EIF_SECTION_REPEATED',
      `there are two ${type} sections`,
      {
        details: { type },
      },
    )
  }
  const types = sections.map((section) => section.type)
  check(
    types.indexOf('kernel') < types.indexOf('ramdisk'),
    'ERR_EIF_SECTION_ORDER',
    'a ramdisk comes before the kernel',
  )
  sections.forEach(checkSize)
}

function checkSize({ type, size }: EifSection): void {
  const limits: Partial<Record<SectionType, number>> = MAX_BUFFERED_BYTES
  const limit = limits[type] ?? Number.MAX_SAFE_INTEGER
  const empty = size === 0 && type !== 'cmdline' && type !== 'ramdisk'
  check(
    !empty && size <= limit,
    'ERR_EIF_SECTION_SIZE',
    `a ${type} section has ${String(size)} bytes`,
    {
      details: { type, size, ...(size > limit && { limit }) },
    },
  )
}

function count(sections: readonly EifSection[], type: SectionType): number {
  return sections.filter((section) => section.type === type).length
}
