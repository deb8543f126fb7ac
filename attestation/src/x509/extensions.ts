// Certificate extensions (RFC 5280 section 4.2): basicConstraints and keyUsage are decided on; other
// non-critical ones are passed over, except those that would restrict the path.

import { AttestationError, check } from '../errors.ts'
import { booleanValue, DerReader, enterOnly, namedBits, TAG } from './der.ts'
import { OID } from './oid.ts'

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
  readonly ca: boolean
  readonly pathLength: number | undefined
}

/** The two bits of keyUsage that path validation asks for. */
export interface KeyUsage {
  readonly digitalSignature: boolean
  readonly keyCertSign: boolean
}

/** What the extensions of a certificate say; undefined when the extension is absent. */
export interface Extensions {
  readonly basicConstraints: BasicConstraints | undefined
  readonly keyUsage: KeyUsage | undefined
}

/**
 * Parses the Extensions of a certificate.
 * @throws AttestationError ERR_DER_INVALID, ERR_X509_EXTENSION.
 */
export function parseExtensions(extensions: DerReader): Extensions {
  const seen = new Set<string>()
  let basicConstraints: BasicConstraints | undefined
  let keyUsage: KeyUsage | undefined
  while (!extensions.atEnd) {
    const { oid, critical, value } = readExtension(extensions.enter(TAG.sequence))
    if (seen.has(oid)) throw refused(oid, 'occurs twice')
    seen.add(oid)
    if (oid === OID.basicConstraints) basicConstraints = parseBasicConstraints(value)
    else if (oid === OID.keyUsage) keyUsage = parseKeyUsage(value)
    else passOver(oid, critical)
  }
  check(seen.size > 0, 'ERR_X509_EXTENSION', 'the list of extensions is empty')
  return { basicConstraints, keyUsage }
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

function passOver(oid: string, critical: boolean): void {
  if (!critical && !RESTRICTING.includes(oid)) return
  throw refused(oid, 'is critical or restricts the path, and is not supported')
}

function refused(oid: string, problem: string): AttestationError {
  const message = `extension ${oid} ${problem}`
  return new AttestationError('ERR_X509_EXTENSION', message, { details: { oid } })
}

function parseBasicConstraints(value: Uint8Array): BasicConstraints {
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
