// From a signature section and the measured PCR0 to the certificate that signed them, or an error:
// PCR8 is never derived from a certificate whose key did not sign this very image.

import { verifyPcr0 } from './cose-signature.ts'
import { decodeSignatureSection } from './signature-section.ts'
import { parseSigningCertificate, type SigningCertificate } from './signing-certificate.ts'

/**
 * Verifies a signature section over a measured PCR0 (48 bytes). The certificate's dates are not
 * checked here: that needs a time, see {@link checkCertificateDates}.
 * @throws ERR_EIF_SIGNATURE_FORMAT, ERR_EIF_SIGNATURE_INVALID, ERR_EIF_CERTIFICATE
 */
export function verifySignatureSection(section: Uint8Array, pcr0: Uint8Array): SigningCertificate {
  const { certificatePem, signature } = decodeSignatureSection(section)
  const certificate = parseSigningCertificate(certificatePem)
  verifyPcr0(signature, pcr0, certificate.publicKey)
  return certificate
}
