// Distinguished names (RFC 5280 section 4.1.2.4), for display and for the OU. Names are compared as
// DER bytes elsewhere, never through this view.

import { decodeUtf8, equalBytes } from '../bytes.ts'
import { AttestationError, check } from '../errors.ts'
import { enterOnly, TAG, type DerReader } from './der.ts'
import { ATTRIBUTE_NAMES, dottedOid } from './oid.ts'

/** One attribute, e.g. `{ type: 'CN', value: 'aws.nitro-enclaves' }`. */
export interface NameAttribute {
  /** Short name of RFC 4519, else the OID in dotted decimal. */
  readonly type: string
  readonly value: string
}

/** A name: its DER, and its attributes in encoded order. */
export interface DistinguishedName {
  readonly der: Uint8Array
  readonly attributes: readonly NameAttribute[]
}

const STRING_TAGS: readonly number[] = [TAG.utf8String, TAG.printableString, TAG.ia5String]

/**
 * Parses a non-empty Name with one attribute per RDN; the known one is the answer when it is the
 * same bytes.
 * @throws AttestationError ERR_DER_INVALID, ERR_X509_FORMAT.
 */
export function parseName(der: Uint8Array, known?: DistinguishedName): DistinguishedName {
  if (known && equalBytes(known.der, der)) return known
  const rdns = enterOnly(der, TAG.sequence)
  const attributes: NameAttribute[] = []
  while (!rdns.atEnd) attributes.push(readRdn(rdns.enter(TAG.set)))
  check(attributes.length > 0, 'ERR_X509_FORMAT', 'a name is empty')
  return { der, attributes }
}

/** The value of the one attribute of this type, or undefined when there is none or several. */
export function attributeOf(name: DistinguishedName, type: string): string | undefined {
  const values = name.attributes.filter((attribute) => attribute.type === type)
  return values.length === 1 ? values[0]?.value : undefined
}

/** A name as text in encoded order, `CN=x, O=y`: for people, not for comparison. */
export function formatName(name: DistinguishedName): string {
  return name.attributes.map(({ type, value }) => `${type}=${value}`).join(', ')
}

function readRdn(rdn: DerReader): NameAttribute {
  const attribute = rdn.enter(TAG.sequence)
  rdn.end()
  const oid = attribute.oid()
  const tag = STRING_TAGS.find((known) => attribute.hasNext(known))
  check(tag !== undefined, 'ERR_X509_FORMAT', 'a name attribute has an unknown string type')
  const value = readText(attribute.next(tag))
  attribute.end()
  return { type: ATTRIBUTE_NAMES[oid] ?? dottedOid(oid), value }
}

function readText(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes)
  } catch (cause) {
    throw new AttestationError('ERR_X509_FORMAT', 'a name attribute is not UTF-8', { cause })
  }
}
