// RSAES-OAEP of RFC 8017 section 7.1 with SHA-1 or SHA-256 and an empty label, as AWS KMS uses it.

import { constants, privateDecrypt, publicEncrypt, type KeyObject } from 'node:crypto'

export type OaepAlgorithm = 'RSAES_OAEP_SHA_1' | 'RSAES_OAEP_SHA_256'

const HASHES = {
  RSAES_OAEP_SHA_1: { oaepHash: 'sha1', bytes: 20 },
  RSAES_OAEP_SHA_256: { oaepHash: 'sha256', bytes: 32 },
} as const
const padding = constants.RSA_PKCS1_OAEP_PADDING

/** The longest plaintext, in bytes. */
export function oaepCapacity(modulusBits: number, algorithm: OaepAlgorithm): number {
  return modulusBits / 8 - 2 * HASHES[algorithm].bytes - 2
}

/** Encrypts for a public key. */
export function oaepEncrypt(
  plaintext: Uint8Array,
  key: KeyObject,
  algorithm: OaepAlgorithm,
): Uint8Array {
  return publicEncrypt({ key, padding, oaepHash: HASHES[algorithm].oaepHash }, plaintext)
}

/** The plaintext; null when the ciphertext was not made for this key and algorithm. */
export function oaepDecrypt(
  ciphertext: Uint8Array,
  key: KeyObject,
  algorithm: OaepAlgorithm,
): Uint8Array | null {
  // OpenSSL takes a shorter one for a number with zeros before it: one ciphertext, several encodings.
  if (ciphertext.length !== modulusBits(key) / 8) return null
  try {
    return privateDecrypt({ key, padding, oaepHash: HASHES[algorithm].oaepHash }, ciphertext)
  } catch {
    return null
  }
}

export function modulusBits(key: KeyObject): number {
  return key.asymmetricKeyDetails?.modulusLength ?? 0
}
