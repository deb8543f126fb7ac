// The secret of a key: 32 random bytes, an HMAC key of its hash's length, or a private key in PKCS#8.

import { randomBytes } from 'node:crypto'
import type { KeySpec } from './key-specs.ts'
import { isAsymmetric } from './key-specs.ts'
import { generatePair, type PairSpec } from './key-pair.ts'

/** What a key is made of. */
export interface KeyMaterial {
  /** The bytes of a symmetric key, or PKCS#8 DER. */
  readonly secret: Uint8Array
  /** DER SubjectPublicKeyInfo; null for symmetric and HMAC keys. */
  readonly publicKey: Uint8Array | null
}

/** A fresh secret for a kind of key that the broker has. */
export async function generateMaterial(spec: KeySpec): Promise<KeyMaterial> {
  if (!isAsymmetric(spec)) return { secret: randomBytes(secretBytes(spec)), publicKey: null }
  const { privateKey, publicKey } = await generatePair(spec as PairSpec)
  return { secret: privateKey, publicKey }
}

/** The length of a secret that is not a private key, in bytes. */
export function secretBytes(spec: KeySpec): number {
  const [, bits] = /^HMAC_(\d+)$/.exec(spec) ?? []
  return bits === undefined ? 32 : Number(bits) / 8
}
