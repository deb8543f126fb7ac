// Signatures over digests, which Node.js does not make, beside those it makes over messages.

import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { expect, test } from 'vitest'
import type { SigningAlgorithm } from '../../../src/kms/crypto/key-specs.ts'
import { signWith, verifyWith } from '../../../src/kms/crypto/signatures.ts'

test.each(['RSASSA_PSS_SHA_256', 'RSASSA_PKCS1_V1_5_SHA_256'] as const)(
  '%s has one encoding: a signature without its leading zero is not valid',
  (algorithm) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const { message, signature } = zeroFirst(privateKey, algorithm)
    const digest = createHash('sha256').update(message).digest()
    const wrong = [signature.subarray(1), Buffer.concat([Buffer.of(0), signature])]
    for (const form of [
      { message, isDigest: false },
      { message: digest, isDigest: true },
    ]) {
      expect(verifyWith(publicKey, algorithm, { ...form, signature })).toBe(true)
      for (const other of wrong)
        expect(verifyWith(publicKey, algorithm, { ...form, signature: other })).toBe(false)
    }
  },
)

/** A message whose signature begins with a zero. */
function zeroFirst(
  key: KeyObject,
  algorithm: SigningAlgorithm,
): { readonly message: Buffer; readonly signature: Uint8Array } {
  for (let counter = 0; ; counter++) {
    const message = Buffer.from(`message ${String(counter)}`)
    const signature = signWith(key, algorithm, { message, isDigest: false })
    if (signature[0] === 0) return { message, signature }
  }
}
