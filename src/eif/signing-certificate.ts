// The certificate that an image was signed with. Its chain is not validated here: PCR8 names the
// certificate itself, and the verifier that compares PCR8 decides which signers to trust.

import { decodePemBundle } from '@cloister/attestation/x509'
import { X509Certificate, type KeyObject } from 'node:crypto'

import { CloisterError, check } from '../errors.ts'

export interface SigningCertificate {
  /** DER. */
  readonly der: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
  readonly publicKey: KeyObject
}

/**
 * The first certificate of a PEM file.
 * @throws ERR_EIF_CERTIFICATE
 */
export function parseSigningCertificate(pem: Uint8Array): SigningCertificate {
  const der = decodeFirst(pem)
  const certificate = parseDer(der)
  // PCR8 is the digest of these bytes: bytes after the certificate would give it another value.
  check(
    certificate.raw.equals(der),
    'ERR_EIF_CERTIFICATE',
    'unexpected bytes after the signing certificate',
  )
  return {
    der,
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
    publicKey: certificate.publicKey,
  }
}

/**
 * Checks that a certificate is valid at a time.
 * @throws ERR_EIF_CERTIFICATE_DATES
 */
export function checkCertificateDates(certificate: SigningCertificate, at: Date): void {
  const { notBefore, notAfter } = certificate
  const isValid = notBefore <= at && at <= notAfter
  check(isValid, 'ERR_EIF_CERTIFICATE_DATES', 'the signing certificate is not valid at this time', {
    details: {
      notBefore: notBefore.toISOString(),
      notAfter: notAfter.toISOString(),
      at: at.toISOString(),
    },
  })
}

function decodeFirst(pem: Uint8Array): Uint8Array {
  try {
    return decodePemBundle(Buffer.from(pem).toString('latin1'))[0]
  } catch (cause) {
    throw new CloisterError('ERR_EIF_CERTIFICATE', 'the signing certificate is not PEM', { cause })
  }
}

function parseDer(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new CloisterError('ERR_EIF_CERTIFICATE', 'the signing certificate is malformed', {
      cause,
    })
  }
}
