// Signatures in OpenSSL's form: ECDSA-Sig-Value (RFC 3279 section 2.2.3). Given r and s, Node makes
// that itself, but must know how long they are, for which Node 24 sets up the curve every time: 50 us.

const TAG_INTEGER = 0x02
const TAG_SEQUENCE = 0x30
/** Tags and lengths of a SEQUENCE and two INTEGERs, and the sign byte that each may need. */
const MOST_OVERHEAD_BYTES = 8

/** r || s, two big-endian numbers of the same length, at most 60 bytes, to DER. */
export function encodeEcdsaSigValue(signature: Uint8Array): Uint8Array {
  const der = Buffer.allocUnsafe(signature.length + MOST_OVERHEAD_BYTES)
  const half = signature.length / 2
  const s = writeInteger(der, 2, signature.subarray(0, half))
  const end = writeInteger(der, s, signature.subarray(half))
  der[0] = TAG_SEQUENCE
  der[1] = end - 2
  return der.subarray(0, end)
}

/** Writes a number in its shortest form, with a sign byte if need be: where it ends. */
function writeInteger(der: Buffer, offset: number, number: Uint8Array): number {
  let start = 0
  while (start < number.length - 1 && number[start] === 0) start += 1
  const sign = (number[start] ?? 0) >= 0x80 ? 1 : 0
  const contents = offset + 2
  der[offset] = TAG_INTEGER
  der[offset + 1] = number.length - start + sign
  if (sign) der[contents] = 0
  der.set(number.subarray(start), contents + sign)
  return contents + sign + number.length - start
}
