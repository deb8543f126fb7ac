// How key material comes in: encrypted for an RSA key of this broker's, directly (RSAES-OAEP) or by an AES-256 key
// that is (AES key wrap with padding, RFC 5649), as PKCS#11's CKM_RSA_AES_KEY_WRAP does.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-encrypt-key-material.html

import { createDecipheriv, type KeyObject } from 'node:crypto'
import { modulusBits, oaepDecrypt } from './rsa-oaep.ts'

/** AWS's names of all of them, also of those that the broker does not have. */
export const WRAPPING_ALGORITHMS = [
  ...(['RSAES_PKCS1_V1_5', 'RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'] as const),
  ...(['RSA_AES_KEY_WRAP_SHA_1', 'RSA_AES_KEY_WRAP_SHA_256', 'SM2PKE'] as const),
] as const

export type WrappingAlgorithm = (typeof WRAPPING_ALGORITHMS)[number]

export const WRAPPING_SPECS = ['RSA_2048', 'RSA_3072', 'RSA_4096', 'SM2'] as const

/** RFC 5649 section 3. */
const KWP_IV = Buffer.from('a65959a6', 'hex')

/** Whether the broker can open it. PKCS#1 v1.5 is left out, as on AWS since 2023. */
export function canUnwrap(algorithm: WrappingAlgorithm): boolean {
  return /^RSA(ES_OAEP|_AES_KEY_WRAP)_/.test(algorithm)
}

/** The material; null when it was not encrypted for this key and algorithm. */
export function unwrapMaterial(
  encrypted: Uint8Array,
  key: KeyObject,
  algorithm: WrappingAlgorithm,
): Uint8Array | null {
  const oaep = algorithm.endsWith('SHA_1') ? 'RSAES_OAEP_SHA_1' : 'RSAES_OAEP_SHA_256'
  if (algorithm.startsWith('RSAES_OAEP')) return oaepDecrypt(encrypted, key, oaep)
  const at = modulusBits(key) / 8
  const wrapping = oaepDecrypt(encrypted.subarray(0, at), key, oaep)
  return wrapping?.length === 32 ? unwrapPadded(encrypted.subarray(at), wrapping) : null
}

function unwrapPadded(wrapped: Uint8Array, key: Uint8Array): Uint8Array | null {
  try {
    const decipher = createDecipheriv('id-aes256-wrap-pad', key, KWP_IV)
    return Buffer.concat([decipher.update(wrapped), decipher.final()])
  } catch {
    return null
  }
}
