// ECDSA signatures in their two forms: `r || s` (RFC 9053 section 2.1), and the DER of X.509, OpenSSL and
// KMS, `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279 section 2.2.3).

import type { SigningAlgorithm } from './signing-algorithm.ts'

const SEQUENCE = 0x30
const INTEGER = 0x02
const LONG_FORM = 0x80

/**
 * A signature as `r || s`, from that form or strict DER; undefined when it is neither. Bytes of the
 * length that `r || s` has are taken for it.
 */
export function coordinatesOfSignature(
  signature: Uint8Array,
  { signatureBytes }: SigningAlgorithm,
): Uint8Array | undefined {
  if (signature.length === signatureBytes) return signature
  const contents = readItem(signature, SEQUENCE)
  const r = contents && contents.rest.length === 0 ? readItem(contents.value, INTEGER) : undefined
  const s = r && readItem(r.rest, INTEGER)
  if (s === undefined || s.rest.length > 0) return undefined
  const half = signatureBytes / 2
  const [left, right] = [padInteger(r?.value, half), padInteger(s.value, half)]
  return left && right && Buffer.concat([left, right])
}

/** The first DER item of a type, whose length takes at most two bytes, and what follows it. */
function readItem(
  bytes: Uint8Array,
  tag: number,
): { readonly value: Uint8Array; readonly rest: Uint8Array } | undefined {
  const [actual, short = 0, long = 0] = bytes
  const isLong = short === LONG_FORM + 1 && long >= LONG_FORM
  if (actual !== tag || (short >= LONG_FORM && !isLong)) return undefined
  const [start, length] = isLong ? [3, long] : [2, short]
  if (bytes.length < start + length) return undefined
  return { value: bytes.subarray(start, start + length), rest: bytes.subarray(start + length) }
}

/** A positive DER INTEGER in its shortest form, padded on the left. */
function padInteger(value: Uint8Array | undefined, length: number): Uint8Array | undefined {
  const [first = LONG_FORM, second = LONG_FORM] = value ?? []
  const isShortest = first < LONG_FORM && (first > 0 || second >= LONG_FORM)
  if (value === undefined || !isShortest) return undefined
  const digits = first === 0 ? value.subarray(1) : value
  if (digits.length > length) return undefined
  const padded = new Uint8Array(length)
  padded.set(digits, length - digits.length)
  return padded
}
