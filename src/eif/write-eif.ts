// Writes an EIF in the order of AWS's writer (aws-nitro-enclaves-image-format 0.5.0): kernel, cmdline,
// metadata, ramdisks. Sizes are known beforehand, contents stream through once, and the header is
// completed with the CRC at the end. A signature is added afterwards (sign-eif.ts).

import { CloisterError, check } from '../errors.ts'
import type { ByteSink } from '../files/index.ts'
import { encodeCmdline } from './cmdline.ts'
import { updateCrc32 } from './crc32.ts'
import { encodeHeader, type EifHeader, type TableRow } from './header.ts'
import {
  DEFAULT_CPUS,
  DEFAULT_MEMORY_BYTES,
  HEADER,
  HEADER_BYTES,
  MAX_BUFFERED_BYTES,
  MAX_SECTIONS,
  RAMDISK_ALIGNMENT_BYTES,
  SECTION_HEADER_BYTES,
  type Architecture,
  type SectionType,
} from './layout.ts'
import { ImageMeasurer, type Measurements } from './measurements.ts'
import { encodeMetadata, type EifMetadata } from './metadata.ts'
import { encodeSectionHeader } from './section-table.ts'

/** Bytes of a length known in advance. */
export interface Content {
  readonly size: number
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

export interface EifInput {
  readonly architecture: Architecture
  readonly kernel: Content
  readonly cmdline: string
  readonly metadata: EifMetadata
  /** The first is the platform's, the rest the application's; each padded to a multiple of 4. */
  readonly ramdisks: readonly Content[]
  readonly defaultMemoryBytes?: number
  readonly defaultCpus?: number
}

export interface WrittenEif {
  readonly size: number
  readonly measurements: Measurements
}

interface SectionInput extends Content {
  readonly type: SectionType
}

/** Content that is already in memory; the bytes are not copied. */
export function contentOfBytes(bytes: Uint8Array): Content {
  return { size: bytes.length, chunks: () => [bytes] }
}

/**
 * Writes an unsigned image and measures what it writes.
 * @throws ERR_EIF_CMDLINE, ERR_EIF_METADATA, ERR_EIF_CONTENT
 */
export async function writeEif(input: EifInput, sink: ByteSink): Promise<WrittenEif> {
  const sections = sectionsOf(input)
  const header: EifHeader = {
    architecture: input.architecture,
    defaultMemoryBytes: input.defaultMemoryBytes ?? DEFAULT_MEMORY_BYTES,
    defaultCpus: input.defaultCpus ?? DEFAULT_CPUS,
    table: tableOf(sections),
    crc32: 0,
  }
  using measurer = new ImageMeasurer()
  let crc = updateCrc32(0, encodeHeader(header).subarray(0, HEADER.crc32))
  let offset = HEADER_BYTES
  const write = async (bytes: Uint8Array): Promise<void> => {
    crc = updateCrc32(crc, bytes)
    await sink.write(offset, bytes)
    offset += bytes.length
  }
  for (const section of sections) {
    await write(encodeSectionHeader(section.type, section.size))
    measurer.beginSection(section.type, section.size)
    for await (const chunk of exactly(section)) {
      // The disk writes while the processor hashes.
      const written = write(chunk)
      await Promise.all([measurer.update(section.type, chunk), written])
    }
  }
  await sink.write(0, encodeHeader({ ...header, crc32: crc }))
  return { size: offset, measurements: await measurer.finish() }
}

function sectionsOf(input: EifInput): readonly SectionInput[] {
  const metadata = encodeMetadata(input.metadata)
  check(metadata.length <= MAX_BUFFERED_BYTES.metadata, 'ERR_EIF_METADATA', 'too much metadata', {
    details: { size: metadata.length, limit: MAX_BUFFERED_BYTES.metadata },
  })
  const sections: readonly SectionInput[] = [
    { type: 'kernel', ...input.kernel },
    { type: 'cmdline', ...contentOfBytes(encodeCmdline(input.cmdline)) },
    { type: 'metadata', ...contentOfBytes(metadata) },
    ...input.ramdisks.map((ramdisk) => ({ type: 'ramdisk' as const, ...pad(ramdisk) })),
  ]
  // One place stays free for a signature.
  const ramdisks = input.ramdisks.length
  check(ramdisks > 0 && sections.length < MAX_SECTIONS, 'ERR_EIF_CONTENT', 'number of ramdisks', {
    details: { ramdisks },
  })
  for (const { type, size } of sections) {
    check(size > 0 || type === 'cmdline', 'ERR_EIF_CONTENT', `the ${type} is empty`)
  }
  return sections
}

function tableOf(sections: readonly SectionInput[]): readonly TableRow[] {
  let offset = HEADER_BYTES
  return sections.map(({ size }) => {
    const row = { offset, size }
    offset += SECTION_HEADER_BYTES + size
    return row
  })
}

function pad(content: Content): Content {
  const padding = -content.size & (RAMDISK_ALIGNMENT_BYTES - 1)
  if (padding === 0) return { size: content.size, chunks: () => content.chunks() }
  return {
    size: content.size + padding,
    async *chunks() {
      yield* exactly({ type: 'ramdisk', size: content.size, chunks: () => content.chunks() })
      yield new Uint8Array(padding)
    },
  }
}

/** The section's chunks, which must have the length that the header already states. */
async function* exactly(section: SectionInput): AsyncGenerator<Uint8Array> {
  let rest = section.size
  for await (const chunk of section.chunks()) {
    rest -= chunk.length
    if (rest < 0) break
    yield chunk
  }
  if (rest === 0) return
  throw new CloisterError('ERR_EIF_CONTENT', `the ${section.type} changed while it was written`, {
    details: { type: section.type, expected: section.size },
  })
}
