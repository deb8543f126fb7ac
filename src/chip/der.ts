// The DER values that a certificate is made of, on node-forge's ASN.1. X.690 section 10.

import forge from 'node-forge'

const { asn1 } = forge

export type DerNode = forge.asn1.Asn1

export function sequence(...items: readonly DerNode[]): DerNode {
  return constructed(asn1.Type.SEQUENCE, items)
}

/**
 * A SET of the items in the order given. DER's order of a SET OF (X.690 section 11.6) is up to the
 * caller.
 */
export function set(...items: readonly DerNode[]): DerNode {
  return constructed(asn1.Type.SET, items)
}

/** An OBJECT IDENTIFIER from its dotted form, such as `2.5.29.15`. */
export function objectIdentifier(dotted: string): DerNode {
  return primitive(asn1.Type.OID, asn1.oidToDer(dotted).getBytes())
}

/** A non-negative INTEGER from its big-endian bytes. */
export function unsignedInteger(bytes: Uint8Array): DerNode {
  const start = bytes.findIndex((byte) => byte !== 0)
  const shortest = start === -1 ? Uint8Array.of(0) : bytes.subarray(start)
  const sign = (shortest[0] ?? 0) >= 0x80 ? '\0' : ''
  return primitive(asn1.Type.INTEGER, sign + binary(shortest))
}

/** A BOOLEAN; true is `0xff` (X.690 section 11.1). */
export function boolean(value: boolean): DerNode {
  return primitive(asn1.Type.BOOLEAN, value ? '\xff' : '\0')
}

export function octetString(bytes: Uint8Array): DerNode {
  return primitive(asn1.Type.OCTETSTRING, binary(bytes))
}

/** A BIT STRING whose last `unusedBits` bits do not count. */
export function bitString(bytes: Uint8Array, unusedBits = 0): DerNode {
  return primitive(asn1.Type.BITSTRING, String.fromCharCode(unusedBits) + binary(bytes))
}

export function utf8String(text: string): DerNode {
  return primitive(asn1.Type.UTF8, forge.util.encodeUtf8(text))
}

/** UTCTime until 2049, GeneralizedTime after it (RFC 5280 section 4.1.2.5). Whole seconds. */
export function time(at: Date): DerNode {
  return at.getUTCFullYear() < 2050
    ? primitive(asn1.Type.UTCTIME, asn1.dateToUtcTime(at))
    : primitive(asn1.Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(at))
}

type ContextTag = 0 | 3

// node-forge types every tag as a universal one.
const contextTag = { 0: asn1.Type.NONE, 3: asn1.Type.BITSTRING } as const

/** `[tag] EXPLICIT`. */
export function explicit(tag: ContextTag, content: DerNode): DerNode {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, contextTag[tag], true, [content])
}

/** `[tag] IMPLICIT OCTET STRING`. */
export function implicitOctets(tag: ContextTag, bytes: Uint8Array): DerNode {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, contextTag[tag], false, binary(bytes))
}

export function encodeDer(node: DerNode): Uint8Array {
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1')
}

function constructed(type: forge.asn1.Type, items: readonly DerNode[]): DerNode {
  return asn1.create(asn1.Class.UNIVERSAL, type, true, [...items])
}

function primitive(type: forge.asn1.Type, contents: string): DerNode {
  return asn1.create(asn1.Class.UNIVERSAL, type, false, contents)
}

// node-forge carries bytes in strings, one character each.
function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
