// Looks an image over for everything that AWS's tools, QEMU or we would refuse, or that works differently
// than it seems: unlike the reader it goes on after the first fault.

import { CloisterError } from '../../errors.ts'
import { chunksOf, type ByteSource } from '../../files/index.ts'
import { CpioReader } from '../cpio-reader.ts'
import { updateCrc32 } from '../crc32.ts'
import {
  FLAG_AARCH64,
  HEADER,
  HEADER_BYTES,
  MAX_BUFFERED_BYTES,
  SECTION_HEADER_BYTES,
  SECTION_TYPES,
  type SectionType,
} from '../layout.ts'
import { ImageMeasurer } from '../measurements.ts'
import { Overwrites } from '../overwrites.ts'
import { RamdiskReader, type UnpackBudget } from '../ramdisk-reader.ts'
import { readEif } from '../read-eif.ts'
import { Findings, PLATFORMS, type LintFinding } from './findings.ts'
import { lintRamdisk } from './lint-ramdisk.ts'
import { lintCmdline, lintKernel, lintMetadata, lintSignature } from './lint-contents.ts'
import { lintHeader, lintRow, lintSections, type FoundSection } from './lint-header.ts'

const KERNEL_HEAD_BYTES = 1024
const MAX_UNPACKED_BYTES = 16 * 1024 ** 3

/**
 * Every fault of an image, and of whom.
 * @param at - When it is to be run: certificates have dates.
 * @param limitBytes - What all ramdisks together are unpacked to, no further.
 */
export async function lintEif(
  source: ByteSource,
  at: Date,
  limitBytes: number = MAX_UNPACKED_BYTES,
): Promise<readonly LintFinding[]> {
  const findings = new Findings()
  const header = await source.read(0, HEADER_BYTES)
  if (header.length < HEADER_BYTES) {
    findings.error('header-length', PLATFORMS, 'the file is shorter than the header of an EIF')
    return findings.list
  }
  const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES)
  const sections = await findSections(source, view, findings)
  lintSections(sections, findings)
  const budget = { limitBytes, leftBytes: limitBytes }
  await lintContents({ source, header: view, sections, at, budget }, findings)
  await readAsWeDo(source, findings)
  return findings.list
}

async function findSections(
  source: ByteSource,
  header: DataView,
  findings: Findings,
): Promise<readonly FoundSection[]> {
  const count = lintHeader(header, findings)
  const sections: FoundSection[] = []
  let end = HEADER_BYTES
  for (let index = 0; index < count; index++) {
    const offset = Number(header.getBigUint64(HEADER.sectionOffsets + 8 * index))
    const isInside = offset + SECTION_HEADER_BYTES <= source.size
    const bytes = isInside ? await source.read(offset, SECTION_HEADER_BYTES) : new Uint8Array()
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const size = bytes.length < SECTION_HEADER_BYTES ? Infinity : Number(view.getBigUint64(4))
    const next = offset + SECTION_HEADER_BYTES + size
    if (next > source.size) {
      findings.error('truncated', PLATFORMS, `section ${String(index)} ends after the file`)
      return sections
    }
    const section = { type: view.getUint16(0), offset, size }
    if (view.getUint16(2) !== 0)
      findings.error(
        'section-flags',
        ['qemu', 'cloister'],
        `section ${String(index)} has flags set`,
      )
    lintRow(header, index, { section, end }, findings)
    sections.push(section)
    end = next
  }
  if (end < source.size)
    findings.error('trailing-bytes', ['aws', 'cloister'], 'unexpected bytes after the last section')
  return sections
}

interface Contents {
  readonly source: ByteSource
  readonly header: DataView
  readonly sections: readonly FoundSection[]
  readonly at: Date
  /** One for all ramdisks: rows of the table may name the same bytes. */
  readonly budget: UnpackBudget
}

async function lintContents(image: Contents, findings: Findings): Promise<void> {
  const { source, header, sections, at, budget } = image
  const isAarch64 = header.getUint16(HEADER.flags) === FLAG_AARCH64
  using measurer = new ImageMeasurer()
  const small = new Map<SectionType, Buffer>()
  const headerBytes = await source.read(0, HEADER.crc32)
  let [crc, initrdBytes] = [updateCrc32(0, headerBytes), 0]
  for (const section of sections) {
    const type = typeNames.get(section.type)
    crc = updateCrc32(crc, await source.read(section.offset, SECTION_HEADER_BYTES))
    if (type !== undefined) measurer.beginSection(type, section.size)
    const overwrites = new Overwrites()
    const ramdisk =
      type === 'ramdisk' ? new RamdiskReader(budget, new CpioReader(overwrites)) : undefined
    const start = section.offset + SECTION_HEADER_BYTES
    for await (const chunk of chunksOf(source, start, section.size)) {
      crc = updateCrc32(crc, chunk)
      if (type !== undefined) await measurer.update(type, chunk)
      await ramdisk?.push(chunk)
    }
    if (ramdisk !== undefined) {
      await ramdisk.end()
      const [first] = await source.read(start, Math.min(1, section.size))
      lintRamdisk({ isRead: ramdisk.isComplete, overwrites, first, initrdBytes }, findings)
      initrdBytes += section.size
    }
    const limit = limitOf(type)
    if (type !== undefined && limit > 0)
      small.set(type, Buffer.from(await source.read(start, Math.min(limit, section.size))))
  }
  if (header.getUint32(HEADER.crc32) !== crc)
    findings.error('crc', PLATFORMS, 'the CRC does not match the contents')
  lintSmall(small, { isAarch64, pcr0: (await measurer.finish()).pcr0.pcr, at }, findings)
}

function lintSmall(
  small: ReadonlyMap<SectionType, Buffer>,
  {
    isAarch64,
    ...signed
  }: { readonly isAarch64: boolean; readonly pcr0: Uint8Array; readonly at: Date },
  findings: Findings,
): void {
  const [kernel, cmdline, metadata, signature] = (
    ['kernel', 'cmdline', 'metadata', 'signature'] as const
  ).map((type) => small.get(type))
  if (kernel !== undefined) lintKernel(kernel, isAarch64, findings)
  if (cmdline !== undefined) lintCmdline(cmdline, findings)
  if (metadata !== undefined) lintMetadata(metadata, findings)
  if (signature !== undefined) lintSignature(signature, signed, findings)
}

/** Whatever our reader refuses is named, by its code where no rule has it. */
async function readAsWeDo(source: ByteSource, findings: Findings): Promise<void> {
  try {
    await readEif(source)
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error
    const isNamed = findings.list.some(
      ({ level, platforms }) => level === 'error' && platforms.includes('cloister'),
    )
    if (!isNamed) findings.error(error.code, ['cloister'], error.message)
  }
}

const typeNames = new Map<number, SectionType>(
  (Object.keys(SECTION_TYPES) as SectionType[]).map((name) => [SECTION_TYPES[name], name]),
)

/** How much of a section the rules look at. */
function limitOf(type: SectionType | undefined): number {
  const limits: Partial<Record<SectionType, number>> = {
    ...MAX_BUFFERED_BYTES,
    kernel: KERNEL_HEAD_BYTES,
  }
  return type === undefined ? 0 : (limits[type] ?? 0)
}
