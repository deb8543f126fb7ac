// Signs an image: appends the signature section and completes the header, as nitro-cli's sign-eif
// does for an unsigned file. What is signed is PCR0 as it was just measured from the file.

import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'

import { CloisterError, check } from '../errors.ts'
import { chunksOf, type ByteSink, type ByteSource } from '../files/index.ts'
import { signPcr0 } from './cose-signature.ts'
import { updateCrc32 } from './crc32.ts'
import { encodeHeader, type EifHeader } from './header.ts'
import { HEADER, HEADER_BYTES, SECTION_HEADER_BYTES } from './layout.ts'
import { readEif, type Eif } from './read-eif.ts'
import { encodeSectionHeader } from './section-table.ts'
import { encodeSignatureSection } from './signature-section.ts'
import { parseSigningCertificate } from './signing-certificate.ts'
import { measureBytes } from './measurements.ts'
import type { WrittenEif } from './write-eif.ts'

export interface EifSigner {
  /** A PEM file; its first certificate is the signer's. */
  readonly certificatePem: Uint8Array
  /** On P-256, P-384 or P-521. */
  readonly privateKey: KeyObject
}

/**
 * Makes a signer of two PEM files.
 * @throws ERR_EIF_CERTIFICATE, ERR_EIF_SIGNING when the key is unusable or not the certificate's
 */
export function parseSigner(certificatePem: Uint8Array, privateKeyPem: Uint8Array): EifSigner {
  const { der } = parseSigningCertificate(certificatePem)
  const privateKey = parsePrivateKey(privateKeyPem)
  const isPair = new X509Certificate(der).checkPrivateKey(privateKey)
  check(isPair, 'ERR_EIF_SIGNING', 'the private key is not that of the certificate')
  return { certificatePem, privateKey }
}

/**
 * Signs the unsigned image in `source`; `sink` writes to the same file.
 * @throws ERR_EIF_SIGNING when it is signed already, and whatever {@link readEif} throws
 */
export async function signEif(
  source: ByteSource,
  sink: ByteSink,
  signer: EifSigner,
): Promise<WrittenEif> {
  const eif = await readEif(source)
  const isSigned = eif.signingCertificate !== undefined
  check(!isSigned, 'ERR_EIF_SIGNING', 'the image is signed already')
  const data = encodeSignatureSection({
    certificatePem: signer.certificatePem,
    signature: signPcr0(eif.measurements.pcr0.pcr, signer.privateKey),
  })
  const section = Buffer.concat([encodeSectionHeader('signature', data.length), data])
  const header = headerWith(eif, { offset: source.size, size: data.length })
  const crc32 = await crcOf(header, source, section)
  await sink.write(source.size, section)
  await sink.write(0, encodeHeader({ ...header, crc32 }))
  const { der } = parseSigningCertificate(signer.certificatePem)
  return {
    size: source.size + section.length,
    measurements: { ...eif.measurements, pcr8: measureBytes(der) },
  }
}

function headerWith(eif: Eif, signature: EifHeader['table'][number]): EifHeader {
  const { architecture, defaultMemoryBytes, defaultCpus, sections } = eif
  const rows = sections.map(({ offset, size }) => ({ offset: offset - SECTION_HEADER_BYTES, size }))
  const table = [...rows, signature]
  return { architecture, defaultMemoryBytes, defaultCpus, table, crc32: 0 }
}

/** The new header changes the CRC's beginning, so that the sections are summed once more. */
async function crcOf(header: EifHeader, source: ByteSource, section: Uint8Array): Promise<number> {
  let crc = updateCrc32(0, encodeHeader(header).subarray(0, HEADER.crc32))
  for await (const chunk of chunksOf(source, HEADER_BYTES, source.size - HEADER_BYTES)) {
    crc = updateCrc32(crc, chunk)
  }
  return updateCrc32(crc, section)
}

function parsePrivateKey(pem: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(pem), format: 'pem' })
  } catch (cause) {
    throw new CloisterError('ERR_EIF_SIGNING', 'the private key is not an unencrypted PEM key', {
      cause,
    })
  }
}
