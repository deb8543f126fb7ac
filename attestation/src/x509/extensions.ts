// Certificate extensions (RFC 5280 section 4.2). basicConstraints, keyUsage and extendedKeyUsage are
// evaluated; other non-critical ones are ignored, except those that would restrict the path.

import { AttestationError, check } from '../errors.ts'
import { booleanValue, DerReader, enterOnly, namedBits, TAG } from './der.ts'
import { dottedOid, OID } from './oid.ts'

const KEY_USAGE_DIGITAL_SIGNATURE = 0
const KEY_USAGE_KEY_CERT_SIGN = 5
/** Not evaluated here, so a path that carries one is refused, critical or not. */
const RESTRICTING: readonly string[] = [
  OID.nameConstraints,
  OID.policyConstraints,
  OID.inhibitAnyPolicy,
]

/** basicConstraints; `pathLength` is the number of intermediates that may follow. */
export interface BasicConstraints {
  readonly critical: boolean
  readonly ca: boolean
  readonly pathLength: number | undefined
}

/** The two bits of keyUsage that path validation asks for. */
export interface KeyUsage {
  readonly digitalSignature: boolean
  readonly keyCertSign: boolean
}

/** extendedKeyUsage: what the key was certified for. */
export interface ExtendedKeyUsage {
  readonly critical: boolean
  /** The DER contents of each purpose's OID in hexadecimal; at least one. */
  readonly purposes: readonly string[]
}

/** What the extensions of a certificate say; undefined when the extension is absent. */
export interface Extensions {
  readonly basicConstraints: BasicConstraints | undefined
  readonly keyUsage: KeyUsage | undefined
  readonly extendedKeyUsage: ExtendedKeyUsage | undefined
}

/** A certificate without extensions. */
export const NO_EXTENSIONS: Extensions = {
  basicConstraints: undefined,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
}

/**
 * Parses the Extensions of a certificate.
 * @throws AttestationError ERR_DER_INVALID, ERR_X509_EXTENSION.
 */
export function parseExtensions(extensions: DerReader): Extensions {
  const seen = new Set<string>()
  let known = NO_EXTENSIONS
  while (!extensions.atEnd) {
    const { oid, critical, value } = readExtension(extensions.enter(TAG.sequence))
    if (seen.has(oid)) throw refused(oid, 'occurs twice')
    seen.add(oid)
    known = { ...known, ...evaluate(oid, critical, value) }
  }
  check(seen.size > 0, 'ERR_X509_EXTENSION', 'the list of extensions is empty')
  return known
}

function evaluate(oid: string, critical: boolean, value: Uint8Array): Partial<Extensions> {
  switch (oid) {
    case OID.basicConstraints:
      return { basicConstraints: { critical, ...parseBasicConstraints(value) } }
    case OID.keyUsage:
      return { keyUsage: parseKeyUsage(value) }
    case OID.extendedKeyUsage:
      return { extendedKeyUsage: { critical, purposes: parsePurposes(value) } }
    default:
      checkIgnorable(oid, critical)
      return {}
  }
}

function readExtension(extension: DerReader) {
  const oid = extension.oid()
  const critical = extension.hasNext(TAG.boolean)
  if (critical) {
    const stated = booleanValue(extension.next(TAG.boolean))
    check(stated, 'ERR_DER_INVALID', 'DEFAULT FALSE is encoded')
  }
  const value = extension.next(TAG.octetString)
  extension.end()
  return { oid, critical, value }
}

function checkIgnorable(oid: string, critical: boolean): void {
  if (!critical && !RESTRICTING.includes(oid)) return
  throw refused(oid, 'is critical or restricts the path, and is not supported')
}

function refused(oid: string, problem: string): AttestationError {
  const dotted = dottedOid(oid)
  const message = `extension ${dotted} ${problem}`
  return new AttestationError('ERR_X509_EXTENSION', message, { details: { oid: dotted } })
}

function parseBasicConstraints(value: Uint8Array): Omit<BasicConstraints, 'critical'> {
  const fields = enterOnly(value, TAG.sequence)
  const ca = fields.hasNext(TAG.boolean)
  if (ca) {
    const stated = booleanValue(fields.next(TAG.boolean))
    check(stated, 'ERR_DER_INVALID', 'DEFAULT FALSE is encoded')
  }
  const pathLength = fields.atEnd ? undefined : parsePathLength(fields.next(TAG.integer))
  fields.end()
  check(ca || pathLength === undefined, 'ERR_X509_EXTENSION', 'pathLen without CA')
  return { ca, pathLength }
}

/** One byte is plenty: chains have at most ten certificates. */
function parsePathLength(contents: Uint8Array): number {
  const length = contents[0] ?? 0x80
  check(contents.length === 1 && length < 0x80, 'ERR_X509_EXTENSION', 'pathLen is out of range')
  return length
}

function parseKeyUsage(value: Uint8Array): KeyUsage {
  const outer = new DerReader(value)
  const has = namedBits(outer.next(TAG.bitString))
  outer.end()
  return {
    digitalSignature: has(KEY_USAGE_DIGITAL_SIGNATURE),
    keyCertSign: has(KEY_USAGE_KEY_CERT_SIGN),
  }
}

/** ExtKeyUsageSyntax, RFC 5280 section 4.2.1.12: at least one KeyPurposeId. */
function parsePurposes(value: Uint8Array): readonly string[] {
  const list = enterOnly(value, TAG.sequence)
  const purposes: string[] = []
  while (!list.atEnd) purposes.push(list.oid())
  check(purposes.length > 0, 'ERR_X509_EXTENSION', 'extendedKeyUsage lists no purpose')
  return purposes
}
