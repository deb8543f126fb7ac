// A signing certificate as nitro-cli's describe-eif prints it.

import forge from 'node-forge'
import { X509Certificate } from 'node:crypto'

import type { SigningCertificate } from '../eif/index.ts'

/** OpenSSL's names of the algorithms that sign EC certificates; others are printed as numbers. */
const ALGORITHM_NAMES: Readonly<Record<string, string>> = {
  '1.2.840.10045.4.3.2': 'ecdsa-with-SHA256',
  '1.2.840.10045.4.3.3': 'ecdsa-with-SHA384',
  '1.2.840.10045.4.3.4': 'ecdsa-with-SHA512',
  '1.2.840.113549.1.1.11': 'sha256WithRSAEncryption',
  '1.2.840.113549.1.1.12': 'sha384WithRSAEncryption',
  '1.2.840.113549.1.1.13': 'sha512WithRSAEncryption',
}

/** OpenSSL's long names of what issuers are called by, as nitro-cli prints them. */
const LONG_NAMES: Readonly<Record<string, string>> = {
  C: 'countryName',
  CN: 'commonName',
  DC: 'domainComponent',
  GN: 'givenName',
  L: 'localityName',
  O: 'organizationName',
  OU: 'organizationalUnitName',
  SN: 'surname',
  ST: 'stateOrProvinceName',
  UID: 'userId',
}

const EMPTY = Buffer.alloc(0)

/**
 * The `SigningCertificate` of nitro-cli's describe-eif. The signature is colon-separated hex; an
 * algorithm without a name in this module is a dotted OID.
 */
export function certificateJson({ der }: SigningCertificate): object {
  const certificate = new X509Certificate(der)
  const { algorithm, signature } = signatureOf(der)
  return {
    IssuerName: issuerName(certificate),
    Algorithm: ALGORITHM_NAMES[algorithm] ?? algorithm,
    NotBefore: certificate.validFrom,
    NotAfter: certificate.validTo,
    Signature: signature,
  }
}

function issuerName(certificate: X509Certificate): Readonly<Record<string, unknown>> {
  const { issuer } = certificate.toLegacyObject() as { readonly issuer: object }
  const names = Object.entries(issuer) as readonly (readonly [string, unknown])[]
  return Object.fromEntries(names.map(([name, value]) => [LONG_NAMES[name] ?? name, value]))
}

/** RFC 5280 section 4.1: `SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }`. */
function signatureOf(der: Uint8Array): { readonly algorithm: string; readonly signature: string } {
  const [certificate = EMPTY] = derItems(Buffer.from(der))
  const [, algorithm = EMPTY, signature = EMPTY] = derItems(certificate)
  const [oid = EMPTY] = derItems(algorithm)
  return {
    algorithm: forge.asn1.derToOid(oid.toString('latin1')),
    // The first byte of a BIT STRING counts its unused bits.
    signature: [...signature.subarray(1)].map(hexByte).join(':'),
  }
}

/** The contents of DER items that follow each other; of a certificate that node has parsed. */
function derItems(bytes: Buffer): readonly Buffer[] {
  const items: Buffer[] = []
  for (let offset = 0; offset + 2 <= bytes.length;) {
    const first = bytes[offset + 1] ?? 0
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f
    const start = offset + 2 + lengthBytes
    const length = lengthBytes === 0 ? first : bytes.readUIntBE(offset + 2, lengthBytes)
    items.push(bytes.subarray(start, start + length))
    offset = start + length
  }
  return items
}

function hexByte(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0')
}
