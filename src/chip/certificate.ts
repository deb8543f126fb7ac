// Issues the three kinds of certificate: authority (root), host chip, enclave (leaf). All are P-384
// with ecdsa-with-SHA384 and signed through WebCrypto, so the issuer's key may be in a TPM.
// RFC 5280 sections 4.1 and 4.2.1; key identifiers: RFC 7093 section 2 method 1.

import { createHash, randomBytes } from 'node:crypto'
import { check } from '../errors.ts'
import * as der from './der.ts'
import { pointOf } from './tpm/attestation-key.ts'
import type { P384Signer } from './tpm-crypto.ts'

/** How far the signing key is protected; the OU of the chip's certificate. */
export type Assurance = 'software-tpm' | 'hardware-tpm'

export type CertificateRole = 'authority' | 'chip' | 'enclave'

export interface DistinguishedName {
  readonly commonName: string
  readonly organizationalUnit: 'development' | Assurance
}

export interface CertificateRequest {
  readonly role: CertificateRole
  readonly subject: DistinguishedName
  /** DER SubjectPublicKeyInfo of a P-384 key. */
  readonly subjectSpki: Uint8Array
  readonly issuer: DistinguishedName
  readonly issuerSpki: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
}

/** AWS's bound on every certificate in a document. */
const MAX_CERTIFICATE_BYTES = 1024
const ORGANIZATION = 'Cloister'
const SERIAL_BYTES = 16
const KEY_IDENTIFIER_BYTES = 20

const OID = {
  ecPublicKey: '1.2.840.10045.2.1',
  secp384r1: '1.3.132.0.34',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  organizationalUnit: '2.5.4.11',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
} as const

/**
 * The DER certificate, at most 1024 bytes.
 * @throws ERR_CHIP_KEY_UNSUPPORTED, ERR_CHIP_CERTIFICATE_SIZE, and what signing throws
 */
export async function issueCertificate(
  request: CertificateRequest,
  signer: P384Signer,
): Promise<Uint8Array> {
  const tbs = toBeSigned(request)
  const algorithm = { name: 'ECDSA', hash: 'SHA-384' }
  const signature = await signer.subtle.sign(algorithm, signer.privateKey, der.encodeDer(tbs))
  const certificate = der.encodeDer(
    der.sequence(tbs, signatureAlgorithm(), der.bitString(ecdsaSigValue(signature))),
  )
  const { length } = certificate
  check(length <= MAX_CERTIFICATE_BYTES, 'ERR_CHIP_CERTIFICATE_SIZE', 'certificate too long', {
    details: { length, limit: MAX_CERTIFICATE_BYTES },
  })
  return certificate
}

function toBeSigned(request: CertificateRequest): der.DerNode {
  return der.sequence(
    der.explicit(0, der.unsignedInteger(Uint8Array.of(2))), // v3
    der.unsignedInteger(randomBytes(SERIAL_BYTES)),
    signatureAlgorithm(),
    name(request.issuer),
    der.sequence(der.time(request.notBefore), der.time(request.notAfter)),
    name(request.subject),
    subjectPublicKeyInfo(request.subjectSpki),
    der.explicit(3, der.sequence(...extensions(request))),
  )
}

function extensions({ role, subjectSpki, issuerSpki }: CertificateRequest): der.DerNode[] {
  const own = der.octetString(keyIdentifier(subjectSpki))
  const issuers = der.sequence(der.implicitOctets(0, keyIdentifier(issuerSpki)))
  return [
    extension(OID.basicConstraints, true, basicConstraints[role]),
    extension(OID.keyUsage, true, keyUsage[role]),
    extension(OID.subjectKeyIdentifier, false, own),
    ...(role === 'authority' ? [] : [extension(OID.authorityKeyIdentifier, false, issuers)]),
  ]
}

const basicConstraints: Readonly<Record<CertificateRole, der.DerNode>> = {
  authority: der.sequence(der.boolean(true)),
  chip: der.sequence(der.boolean(true), der.unsignedInteger(Uint8Array.of(0))), // pathLen 0
  enclave: der.sequence(), // cA DEFAULT FALSE
}

// Bit 0 (digitalSignature) is the topmost; trailing zero bits are cut off.
const keyUsage: Readonly<Record<CertificateRole, der.DerNode>> = {
  authority: der.bitString(Uint8Array.of(0b0000_0110), 1), // keyCertSign, cRLSign
  chip: der.bitString(Uint8Array.of(0b0000_0100), 2), // keyCertSign
  enclave: der.bitString(Uint8Array.of(0b1000_0000), 7), // digitalSignature
}

function extension(oid: string, critical: boolean, value: der.DerNode): der.DerNode {
  const flag = critical ? [der.boolean(true)] : []
  return der.sequence(der.objectIdentifier(oid), ...flag, der.octetString(der.encodeDer(value)))
}

function name({ commonName, organizationalUnit }: DistinguishedName): der.DerNode {
  return der.sequence(
    nameAttribute(OID.organization, ORGANIZATION),
    nameAttribute(OID.organizationalUnit, organizationalUnit),
    nameAttribute(OID.commonName, commonName),
  )
}

function nameAttribute(oid: string, value: string): der.DerNode {
  return der.set(der.sequence(der.objectIdentifier(oid), der.utf8String(value)))
}

function subjectPublicKeyInfo(spki: Uint8Array): der.DerNode {
  const curve = [der.objectIdentifier(OID.ecPublicKey), der.objectIdentifier(OID.secp384r1)]
  return der.sequence(der.sequence(...curve), der.bitString(pointOf(spki)))
}

function signatureAlgorithm(): der.DerNode {
  return der.sequence(der.objectIdentifier(OID.ecdsaWithSha384))
}

/** RFC 5480 Ecdsa-Sig-Value from WebCrypto's `r || s`. */
function ecdsaSigValue(signature: ArrayBuffer): Uint8Array {
  const half = signature.byteLength / 2
  const r = der.unsignedInteger(new Uint8Array(signature, 0, half))
  const s = der.unsignedInteger(new Uint8Array(signature, half))
  return der.encodeDer(der.sequence(r, s))
}

function keyIdentifier(spki: Uint8Array): Uint8Array {
  const digest = createHash('sha256').update(pointOf(spki)).digest()
  return digest.subarray(0, KEY_IDENTIFIER_BYTES)
}
