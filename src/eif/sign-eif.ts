// Signs an image: a signature section at its end, over PCR0 as it was just measured from the file. A
// signature that is there already is replaced by the new one.

import { check } from '../errors.ts'
import { chunksOf, type ByteSink, type ByteSource } from '../files/index.ts'
import { messageOfPcr0, signPcr0 } from './cose-signature.ts'
import { updateCrc32 } from './crc32.ts'
import { encodeHeader, type EifHeader, type TableRow } from './header.ts'
import { HEADER, HEADER_BYTES, MAX_SECTIONS, SECTION_HEADER_BYTES } from './layout.ts'
import { readEif, type Eif, type SectionSink } from './read-eif.ts'
import { encodeSectionHeader, type EifSection } from './section-table.ts'
import { encodeSignatureSection } from './signature-section.ts'
import type { EifSigner } from './signer.ts'
import { measureBytes } from './measurements.ts'
import type { WrittenEif } from './write-eif.ts'

/** A file that is written, and read again while it is. */
export interface SignedOutput extends ByteSink {
  /** Its first `size` bytes. */
  source(size: number): ByteSource
}

/** Where the parts of the signed file come to lie. */
interface Placing {
  /** Of the sections that were there, without an older signature. */
  readonly table: readonly TableRow[]
  readonly end: number
}

/**
 * Signs the unsigned image in `source`; `sink` writes to the same file.
 * @throws ERR_EIF_SIGNING when it is signed already, and whatever {@link readEif} and the key throw
 */
export async function signEif(
  source: ByteSource,
  sink: ByteSink,
  signer: EifSigner,
): Promise<WrittenEif> {
  const eif = await readEif(source)
  const isSigned = eif.signingCertificate !== undefined
  check(!isSigned, 'ERR_EIF_SIGNING', 'the image is signed already')
  return attachSignature(eif, { source, sink, signer, placing: place(eif.sections) })
}

/**
 * Writes a signed copy of the image in `source`, which may be signed already.
 * @throws ERR_EIF_SIGNING, and whatever {@link readEif} and the key throw
 */
export async function signCopyOfEif(
  source: ByteSource,
  output: SignedOutput,
  signer: EifSigner,
): Promise<WrittenEif> {
  const eif = await readEif(source, copyTo(output))
  const placing = place(eif.sections)
  for (const [index, { type, size }] of unsignedSections(eif.sections).entries()) {
    await output.write(placing.table[index]?.offset ?? 0, encodeSectionHeader(type, size))
  }
  const copy = output.source(placing.end)
  return attachSignature(eif, { source: copy, sink: output, signer, placing })
}

/**
 * The bytes that a signature of the image is made over, for a key that is elsewhere: ECDSA with the hash
 * of the algorithm, as `openssl dgst -sign` does it.
 * @throws whatever {@link readEif} throws
 */
export async function exportToBeSigned(
  source: ByteSource,
  { algorithm }: Pick<EifSigner, 'algorithm'>,
): Promise<{ readonly message: Uint8Array; readonly eif: Eif }> {
  const eif = await readEif(source)
  return { message: messageOfPcr0(eif.measurements.pcr0.pcr, algorithm), eif }
}

/** Copies the data of every section but an older signature, moved forward by the latter's room. */
function copyTo(sink: ByteSink): SectionSink {
  let current: EifSection | undefined
  let [room, offset] = [0, 0]
  return async (section, chunk) => {
    if (section.type === 'signature') {
      room = SECTION_HEADER_BYTES + section.size
      return
    }
    if (section !== current) offset = section.offset - room
    current = section
    const at = offset
    offset += chunk.length
    await sink.write(at, chunk)
  }
}

function place(sections: readonly EifSection[]): Placing {
  let end = HEADER_BYTES
  const table = unsignedSections(sections).map(({ size }) => {
    const row = { offset: end, size }
    end += SECTION_HEADER_BYTES + size
    return row
  })
  check(
    table.length < MAX_SECTIONS,
    'ERR_EIF_SIGNING',
    'the image has no room for a signature section',
    {
      details: { sections: table.length, limit: MAX_SECTIONS },
    },
  )
  return { table, end }
}

function unsignedSections(sections: readonly EifSection[]): readonly EifSection[] {
  return sections.filter(({ type }) => type !== 'signature')
}

interface Attachment {
  /** The unsigned image; its header is not looked at. */
  readonly source: ByteSource
  readonly sink: ByteSink
  readonly signer: EifSigner
  readonly placing: Placing
}

async function attachSignature(eif: Eif, attachment: Attachment): Promise<WrittenEif> {
  const { source, sink, signer, placing } = attachment
  const data = encodeSignatureSection({
    certificatePem: signer.certificatePem,
    signature: await signPcr0(eif.measurements.pcr0.pcr, signer),
  })
  const section = Buffer.concat([encodeSectionHeader('signature', data.length), data])
  const { architecture, defaultMemoryBytes, defaultCpus } = eif
  const table = [...placing.table, { offset: placing.end, size: data.length }]
  const header = { architecture, defaultMemoryBytes, defaultCpus, table, crc32: 0 }
  const crc32 = await crcOf(header, source, section)
  await sink.write(placing.end, section)
  await sink.write(0, encodeHeader({ ...header, crc32 }))
  return {
    size: placing.end + section.length,
    measurements: { ...eif.measurements, pcr8: measureBytes(signer.certificate.der) },
  }
}

/** The new header changes the CRC's beginning, so that the sections are summed once more. */
async function crcOf(header: EifHeader, source: ByteSource, section: Uint8Array): Promise<number> {
  let crc = updateCrc32(0, encodeHeader(header).subarray(0, HEADER.crc32))
  for await (const chunk of chunksOf(source, HEADER_BYTES, source.size - HEADER_BYTES)) {
    crc = updateCrc32(crc, chunk)
  }
  return updateCrc32(crc, section)
}
