// The RSA key of a recipient: DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7, RFC 3279 section 2.3.1) with a modulus of
// 2048, 3072 or 4096 bits and the exponent 65537. DER has one encoding of such a key, in which nothing but the modulus
// varies, so it is compared, not parsed. OpenSSL's decoder for this form takes anything that has one, and twenty times as
// long as its decoder for the RSAPublicKey inside.

import { createPublicKey, type KeyObject } from 'node:crypto'

/** What is before the modulus, and how long it is. */
interface Form {
  readonly prefix: Buffer
  readonly modulusBytes: number
}

/** Length octets of the outer SEQUENCE, BIT STRING, inner SEQUENCE and INTEGER. */
const FORMS: readonly Form[] = [
  formOf(2048, ['0122', '010f', '010a', '0101']),
  formOf(3072, ['01a2', '018f', '018a', '0181']),
  formOf(4096, ['0222', '020f', '020a', '0201']),
]
/** INTEGER 65537 */
const EXPONENT = Buffer.from('0203010001', 'hex')
/** Of the SEQUENCE and the algorithm around RSAPublicKey, with the BIT STRING's head. */
const OUTER_BYTES = 24

function formOf(bits: number, lengths: readonly [string, string, string, string]): Form {
  const [outer, bitString, inner, integer] = lengths
  const rsaEncryption = '300d06092a864886f70d0101010500'
  const prefix = `3082${outer}${rsaEncryption}0382${bitString}003082${inner}0282${integer}00`
  return { prefix: Buffer.from(prefix, 'hex'), modulusBytes: bits / 8 }
}

/** The key; undefined when the bytes are not exactly one such key. */
export function parseRecipientKey(spki: Uint8Array): KeyObject | undefined {
  const bytes = Buffer.from(spki.buffer, spki.byteOffset, spki.length)
  const form = FORMS.find(({ prefix }) => bytes.subarray(0, prefix.length).equals(prefix))
  if (form === undefined) return undefined
  const modulusAt = form.prefix.length
  const exponentAt = modulusAt + form.modulusBytes
  if (!bytes.subarray(exponentAt).equals(EXPONENT)) return undefined
  // All its bits, and odd, as the product of two primes is.
  const isWhole = bytes.readUInt8(modulusAt) >= 0x80 && bytes.readUInt8(exponentAt - 1) % 2 === 1
  if (!isWhole) return undefined
  return createPublicKey({ key: bytes.subarray(OUTER_BYTES), format: 'der', type: 'pkcs1' })
}
