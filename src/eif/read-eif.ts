// Reads an EIF in one pass: every byte is read exactly once, and is checked, measured and handed
// out from that one read. What a sink received is therefore what the measurements speak of, even
// when somebody rewrites the file meanwhile.

import { check, CloisterError, type ErrorCode } from '../errors.ts'
import { namingFile, passingChunksOf, type ByteSource } from '../files/index.ts'
import { decodeCmdline } from './cmdline.ts'
import { updateCrc32 } from './crc32.ts'
import { checkMagic, decodeHeader, type EifHeader, type TableRow } from './header.ts'
import {
  EIF_VERSION,
  HEADER,
  HEADER_BYTES,
  MAX_BUFFERED_BYTES,
  SECTION_HEADER_BYTES,
  type Architecture,
  type SectionType,
} from './layout.ts'
import { ImageMeasurer, measureBytes, type Measurements } from './measurements.ts'
import { decodeMetadata, type EifMetadata } from './metadata.ts'
import {
  checkEnd,
  checkPlace,
  checkSections,
  decodeSectionHeader,
  type EifSection,
} from './section-table.ts'
import type { SigningCertificate } from './signing-certificate.ts'
import { verifySignatureSection } from './verify-signature.ts'

/** What an image contains and measures to; the contents of its sections go to the sink. */
export interface Eif {
  readonly version: number
  readonly architecture: Architecture
  /** Header fields that neither the platform nor nitro-cli uses. */
  readonly defaultMemoryBytes: number
  readonly defaultCpus: number
  readonly crc32: number
  /** In file order. */
  readonly sections: readonly EifSection[]
  /** Any text without a NUL: AWS's tools also write line breaks, tabs and UTF-8. */
  readonly cmdline: string
  /** Not measured: a label, not a fact. */
  readonly metadata: EifMetadata
  readonly measurements: Measurements
  /** Whose key signed this image: verified, but for the dates. Absent when it is unsigned. */
  readonly signingCertificate?: SigningCertificate
}

/**
 * Receives the data of every section, in file order, before the whole image is known to be good.
 * It must not change the chunk: the same bytes are hashed. Once it has returned, the bytes are others'.
 */
export type SectionSink = (section: EifSection, chunk: Uint8Array) => void | Promise<void>

interface SectionHeader {
  readonly bytes: Uint8Array
  readonly section: EifSection
}

/**
 * Reads, checks and measures an image: header; table and section headers, which must agree and
 * fill the file without gap, overlap or rest; which sections there are; CRC; command line and
 * metadata; the signature, if there is one, over the PCR0 measured here. When this throws, whatever
 * went into `sink` must be thrown away.
 * @throws ERR_EIF_*
 */
export function readEif(source: ByteSource, sink?: SectionSink): Promise<Eif> {
  const refuse = (fault: CloisterError): never => {
    throw fault
  }
  return read(source, sink, refuse)
}

/** An image that was read in spite of the faults listed with it. */
export interface EifInspection {
  /** Without a signing certificate, and PCR8, where the signature is not valid. */
  readonly eif: Eif
  /** `ERR_EIF_CRC`, `ERR_EIF_SIGNATURE_INVALID`: nothing about such an image can be relied on. */
  readonly faults: readonly CloisterError[]
}

/**
 * Reads an image that must not be run, to show it: as {@link readEif}, but a wrong CRC and a signature
 * of another image are told beside what was read.
 * @throws ERR_EIF_* for every other fault
 */
export async function inspectEif(source: ByteSource, sink?: SectionSink): Promise<EifInspection> {
  const faults: CloisterError[] = []
  const eif = await read(source, sink, (fault) => {
    faults.push(fault)
  })
  return { eif, faults }
}

type OnFault = (fault: CloisterError) => void

/** Errors about the image name its file. */
async function read(
  source: ByteSource,
  sink: SectionSink | undefined,
  onFault: OnFault,
): Promise<Eif> {
  try {
    return await readNameless(source, sink, onFault)
  } catch (error) {
    const isOfImage = error instanceof CloisterError && error.code.startsWith('ERR_EIF_')
    throw isOfImage && source.name !== undefined ? namingFile(source.name, error) : error
  }
}

async function readNameless(
  source: ByteSource,
  sink: SectionSink | undefined,
  onFault: OnFault,
): Promise<Eif> {
  checkMagic(await source.read(0, Math.min(4, source.size)))
  const headerBytes = await readExactly(source, 0, HEADER_BYTES)
  const header = decodeHeader(headerBytes)
  const sectionHeaders = await readSectionHeaders(source, header.table)
  const sections = sectionHeaders.map(({ section }) => section)
  checkSections(sections)
  const contents = await readContents(source, headerBytes, sectionHeaders, sink)
  attempt('ERR_EIF_CRC', onFault, () => {
    checkCrc(header, contents.crc)
  })
  const signed = attempt('ERR_EIF_SIGNATURE_INVALID', onFault, () =>
    verifySignature(sections, contents),
  )
  return {
    version: EIF_VERSION,
    architecture: header.architecture,
    defaultMemoryBytes: header.defaultMemoryBytes,
    defaultCpus: header.defaultCpus,
    crc32: header.crc32,
    sections,
    cmdline: decodeCmdline(contents.buffered('cmdline')),
    metadata: decodeMetadata(contents.buffered('metadata')),
    measurements: { ...contents.measurements, ...(signed && { pcr8: measureBytes(signed.der) }) },
    ...(signed && { signingCertificate: signed }),
  }
}

/** What `step` returns; undefined when it throws that code and the fault is borne. */
function attempt<T>(code: ErrorCode, onFault: OnFault, step: () => T): T | undefined {
  try {
    return step()
  } catch (error) {
    if (!(error instanceof CloisterError) || error.code !== code) throw error
    onFault(error)
    return undefined
  }
}

function verifySignature(
  sections: readonly EifSection[],
  { buffered, measurements }: Contents,
): SigningCertificate | undefined {
  if (!sections.some(({ type }) => type === 'signature')) return undefined
  return verifySignatureSection(buffered('signature'), measurements.pcr0.pcr)
}

interface Contents {
  readonly crc: number
  readonly measurements: Measurements
  /** The data of a small section. */
  readonly buffered: (type: keyof typeof MAX_BUFFERED_BYTES) => Uint8Array
}

async function readContents(
  source: ByteSource,
  headerBytes: Uint8Array,
  sectionHeaders: readonly SectionHeader[],
  sink: SectionSink | undefined,
): Promise<Contents> {
  using measurer = new ImageMeasurer()
  const buffers = new Map<SectionType, Uint8Array[]>()
  let crc = updateCrc32(0, headerBytes.subarray(0, HEADER.crc32))
  for (const { bytes, section } of sectionHeaders) {
    crc = updateCrc32(crc, bytes)
    measurer.beginSection(section.type, section.size)
    for await (const chunk of readData(source, section)) {
      // The sink copies while the processor hashes.
      const copied = sink?.(section, chunk)
      crc = updateCrc32(crc, chunk)
      if (section.type in MAX_BUFFERED_BYTES) push(buffers, section.type, chunk)
      await Promise.all([measurer.update(section.type, chunk), copied])
    }
  }
  return {
    crc,
    measurements: await measurer.finish(),
    buffered: (type) => concatenate(buffers.get(type) ?? []),
  }
}

async function* readData(source: ByteSource, section: EifSection): AsyncGenerator<Uint8Array> {
  let rest = section.size
  for await (const chunk of passingChunksOf(source, section.offset, section.size)) {
    rest -= chunk.length
    yield chunk
  }
  check(rest === 0, 'ERR_EIF_TRUNCATED', 'the file ended while it was read')
}

async function readSectionHeaders(
  source: ByteSource,
  table: readonly TableRow[],
): Promise<readonly SectionHeader[]> {
  const headers: SectionHeader[] = []
  let end = HEADER_BYTES
  for (const row of table) {
    checkPlace({ offset: row.offset, size: 0 }, end, source.size)
    const bytes = await readExactly(source, row.offset, SECTION_HEADER_BYTES)
    const section = decodeSectionHeader(bytes, row)
    checkPlace({ offset: row.offset, size: section.size }, end, source.size)
    headers.push({ bytes, section })
    end = section.offset + section.size
  }
  checkEnd(end, source.size)
  return headers
}

async function readExactly(
  source: ByteSource,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = await source.read(offset, length)
  check(bytes.length === length, 'ERR_EIF_TRUNCATED', 'the file is too short to be an EIF', {
    details: { fileBytes: source.size, needed: offset + length },
  })
  return bytes
}

function checkCrc(header: EifHeader, actual: number): void {
  check(header.crc32 === actual, 'ERR_EIF_CRC', 'the CRC does not match the contents', {
    details: { expected: header.crc32, actual },
  })
}

function push(buffers: Map<SectionType, Uint8Array[]>, type: SectionType, chunk: Uint8Array): void {
  const chunks = buffers.get(type) ?? []
  chunks.push(Uint8Array.from(chunk))
  buffers.set(type, chunks)
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
