// X.509 certificates and path validation (RFC 5280) for chains of P-384 and ecdsa-with-SHA384.

export { parseCertificate, type Certificate } from './certificate.ts'
export type { BasicConstraints, ExtendedKeyUsage, Extensions, KeyUsage } from './extensions.ts'
export { attributeOf, formatName, type DistinguishedName, type NameAttribute } from './name.ts'
export {
  MAX_PATH_CERTIFICATES,
  validatePath,
  type CertificatePath,
  type ValidatePathOptions,
} from './path.ts'
export { decodePem, decodePemBlocks, decodePemBundle, type PemBlock } from './pem.ts'
export type { WebCrypto, WebCryptoSubtle } from '../signature/webcrypto.ts'
export { AttestationError } from '../errors.ts'
