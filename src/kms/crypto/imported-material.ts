// Material from outside: as long as the key's kind asks for, or a private key of that kind in PKCS#8.

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { curveOf } from './key-pair.ts'
import { secretBytes, type KeyMaterial } from './key-material.ts'
import { isAsymmetric, type KeySpec } from './key-specs.ts'

/** The material of a key of this kind; null when it is not. */
export function readMaterial(bytes: Uint8Array, spec: KeySpec): KeyMaterial | null {
  if (!isAsymmetric(spec))
    return bytes.length === secretBytes(spec) ? { secret: bytes, publicKey: null } : null
  const key = parsePkcs8(bytes)
  if (key === null || specOf(key) !== spec) return null
  return {
    secret: key.export({ format: 'der', type: 'pkcs8' }),
    publicKey: createPublicKey(key).export({ format: 'der', type: 'spki' }),
  }
}

function parsePkcs8(der: Uint8Array): KeyObject | null {
  try {
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' })
  } catch {
    return null
  }
}

function specOf(key: KeyObject): string | undefined {
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'rsa')
    return publicExponent === 65_537n ? `RSA_${String(modulusLength)}` : undefined
  return key.asymmetricKeyType === 'ec' ? curveOf(namedCurve) : undefined
}
