// ECDSA-Sig-Value (RFC 3279 section 2.2.3): SEQUENCE of two positive INTEGERs, here of P-384.

import { check } from '../errors.ts'
import { enterOnly, positiveInteger, TAG } from './der.ts'

const SCALAR_BYTES = 48

/**
 * ECDSA-Sig-Value in strict DER to r || s, 96 bytes.
 * @throws AttestationError ERR_DER_INVALID, ERR_X509_FORMAT.
 */
export function decodeEcdsaSignature(der: Uint8Array): Uint8Array {
  const value = enterOnly(der, TAG.sequence)
  const signature = new Uint8Array(2 * SCALAR_BYTES)
  for (const end of [SCALAR_BYTES, 2 * SCALAR_BYTES]) {
    const scalar = positiveInteger(value.next(TAG.integer))
    check(scalar.length <= SCALAR_BYTES, 'ERR_X509_FORMAT', 'signature is out of range')
    signature.set(scalar, end - scalar.length)
  }
  value.end()
  return signature
}
