// A key whose bytes are at hand. Its signatures are deterministic (RFC 6979, without extra entropy), so
// that a signed image is the same to the byte wherever it is signed. node's own ECDSA draws a random
// number for each signature.

import { p256, p384, p521 } from '@noble/curves/nist.js'
import { createPublicKey, type KeyObject } from 'node:crypto'

import { check } from '../errors.ts'
import type { SigningKey } from './signer.ts'
import { signingAlgorithmOf } from './signing-algorithm.ts'

const CURVES = { prime256v1: p256, secp384r1: p384, secp521r1: p521 } as const

/**
 * A key that signs deterministically.
 * @throws ERR_EIF_SIGNING when it is not on P-256, P-384 or P-521
 */
export function deterministicKey(privateKey: KeyObject): SigningKey {
  const algorithm = signingAlgorithmOf(privateKey)
  check(
    algorithm !== undefined,
    'ERR_EIF_SIGNING',
    'the private key is not on P-256, P-384 or P-521',
    { details: { kind: privateKey.asymmetricKeyType } },
  )
  const curve = CURVES[algorithm.curve]
  return {
    publicKey: createPublicKey(privateKey),
    sign: (digest) => {
      const { d = '' } = privateKey.export({ format: 'jwk' })
      // Prehashed, and with s as it comes: other signers of images do not normalise it either.
      const options = { prehash: false, lowS: false, format: 'compact' } as const
      return Promise.resolve(curve.sign(digest, Buffer.from(d, 'base64url'), options))
    },
  }
}
