// X.509 version 3 certificates (RFC 5280 section 4.1) of one profile: P-384 keys, ecdsa-with-SHA384.
// The DER that was parsed stays beside the parsed view; signatures are verified over those bytes.

import { equalBytes } from '../bytes.ts'
import { AttestationError, check } from '../errors.ts'
import { P384_POINT_BYTES } from '../signature/webcrypto.ts'
import { enterOnly, positiveInteger, TAG, wholeBytes, type DerReader } from './der.ts'
import { decodeEcdsaSignature } from './ecdsa-signature.ts'
import { NO_EXTENSIONS, parseExtensions, type Extensions } from './extensions.ts'
import { parseName, type DistinguishedName } from './name.ts'
import { dottedOid, OID, oidName } from './oid.ts'
import { readTime } from './time.ts'

const VERSION = 0xa0
const EXTENSIONS = 0xa3
const VERSION_3 = Uint8Array.of(0x02, 0x01, 0x02)
const MAX_SERIAL_BYTES = 20
const UNCOMPRESSED = 0x04

type TbsCertificate = Omit<Certificate, 'der' | 'tbs' | 'signature'>

/** A parsed certificate. Nothing in it is verified; byte strings are views into the input. */
export interface Certificate {
  readonly der: Uint8Array
  /** The bytes that the issuer signed: DER TBSCertificate. */
  readonly tbs: Uint8Array
  /** The issuer's signature: r || s, 96 bytes. */
  readonly signature: Uint8Array
  /** Big-endian, without a sign byte. */
  readonly serialNumber: Uint8Array
  readonly issuer: DistinguishedName
  readonly subject: DistinguishedName
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Uncompressed P-384 point, 97 bytes. */
  readonly publicKey: Uint8Array
  readonly extensions: Extensions
}

/**
 * Parses one DER certificate. Where the certificate above it in a chain is given, and really has the
 * issuer's name, that is not parsed a second time.
 * @throws AttestationError ERR_DER_INVALID, ERR_X509_FORMAT, ERR_X509_ALGORITHM, ERR_X509_EXTENSION.
 * @see RFC 5280 section 4.1
 */
export function parseCertificate(der: Uint8Array, above?: Certificate): Certificate {
  const certificate = enterOnly(der, TAG.sequence)
  const tbs = certificate.whole(TAG.sequence)
  readSignatureAlgorithm(certificate)
  const signature = decodeEcdsaSignature(wholeBytes(certificate.next(TAG.bitString)))
  certificate.end()
  return { der, tbs, signature, ...parseTbs(enterOnly(tbs, TAG.sequence), above) }
}

function parseTbs(tbs: DerReader, above: Certificate | undefined): TbsCertificate {
  const version3 = tbs.hasNext(VERSION) && equalBytes(tbs.next(VERSION), VERSION_3)
  check(version3, 'ERR_X509_FORMAT', 'not a version 3 certificate')
  const serialNumber = positiveInteger(tbs.next(TAG.integer))
  check(serialNumber.length <= MAX_SERIAL_BYTES, 'ERR_X509_FORMAT', 'serial number is too long')
  readSignatureAlgorithm(tbs)
  const issuer = parseName(tbs.whole(TAG.sequence), above?.subject)
  const validity = tbs.enter(TAG.sequence)
  const notBeforeMs = readTime(validity)
  const notAfterMs = readTime(validity)
  validity.end()
  const subject = parseName(tbs.whole(TAG.sequence))
  const publicKey = readPublicKey(tbs.enter(TAG.sequence))
  const extensions = readExtensions(tbs)
  tbs.end()
  return { serialNumber, issuer, notBeforeMs, notAfterMs, subject, publicKey, extensions }
}

/** AlgorithmIdentifier: ecdsa-with-SHA384 has no parameters, RFC 5758 section 3.2. */
function readSignatureAlgorithm(reader: DerReader): void {
  const algorithm = reader.enter(TAG.sequence)
  const oid = algorithm.oid()
  checkAlgorithm(oid, OID.ecdsaWithSha384, ['signed with', 'ecdsa-with-SHA384'])
  algorithm.end()
}

/**
 * SubjectPublicKeyInfo of an uncompressed P-384 point, RFC 5480 section 2. The curve must be named:
 * a curve given by its parameters can be chosen so that anyone knows the private key (CVE-2020-0601).
 */
function readPublicKey(spki: DerReader): Uint8Array {
  const algorithm = spki.enter(TAG.sequence)
  const oid = algorithm.oid()
  checkAlgorithm(oid, OID.ecPublicKey, ['the public key is', 'EC'])
  check(algorithm.hasNext(TAG.oid), 'ERR_X509_ALGORITHM', 'the curve of the key is not named')
  const curve = algorithm.oid()
  checkAlgorithm(curve, OID.secp384r1, ['the public key is on', 'P-384'])
  algorithm.end()
  const point = wholeBytes(spki.next(TAG.bitString))
  spki.end()
  check(
    point.length === P384_POINT_BYTES && point[0] === UNCOMPRESSED,
    'ERR_X509_ALGORITHM',
    'not an uncompressed P-384 point',
  )
  return point
}

/** The last argument says for the message what the OID is of, and the name of the expected one. */
function checkAlgorithm(
  oid: string,
  expected: string,
  [what, name]: readonly [what: string, name: string],
): void {
  if (oid === expected) return
  const message = `${what} ${oidName(oid)}, not ${name}`
  throw new AttestationError('ERR_X509_ALGORITHM', message, { details: { oid: dottedOid(oid) } })
}

function readExtensions(tbs: DerReader): Extensions {
  if (tbs.atEnd) return NO_EXTENSIONS
  const outer = tbs.enter(EXTENSIONS)
  const extensions = outer.enter(TAG.sequence)
  outer.end()
  return parseExtensions(extensions)
}
