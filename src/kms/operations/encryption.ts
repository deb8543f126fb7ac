// Encrypts and decrypts with a key of either kind: a blob of our own under a symmetric key, RSAES-OAEP under an
// RSA key, which knows no encryption context.

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { RequestContext } from '@cloister/attestation/policy'
import { contextKeys } from '../access/request-context.ts'
import { invalidCiphertext, openBlob, readBlob, sealBlob } from '../crypto/ciphertext-blob.ts'
import { ENCRYPTION_ALGORITHMS, type EncryptionAlgorithm } from '../crypto/key-specs.ts'
import {
  modulusBits,
  oaepCapacity,
  oaepDecrypt,
  oaepEncrypt,
  type OaepAlgorithm,
} from '../crypto/rsa-oaep.ts'
import type { EncryptionContext, Fields } from '../fields.ts'
import { invalid } from '../kms-error.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { Store } from '../store/store.ts'

export const SYMMETRIC = 'SYMMETRIC_DEFAULT'

/** How a request wants something encrypted, or says that it was. */
export interface Encryption {
  readonly algorithm: EncryptionAlgorithm
  readonly context: EncryptionContext
}

/** Reads an algorithm and an encryption context. */
export function readEncryption(fields: Fields, prefix: string): Encryption {
  const context = fields.context(`${prefix}EncryptionContext`)
  const name = `${prefix}EncryptionAlgorithm`
  const algorithm = fields.choice(name, ENCRYPTION_ALGORITHMS) ?? SYMMETRIC
  if (algorithm !== SYMMETRIC && Object.keys(context).length > 0)
    throw invalid(`${prefix}EncryptionContext is not supported with ${algorithm}`)
  return { algorithm, context }
}

/** The condition keys of an encryption. */
export function encryptionKeys({ algorithm, context }: Encryption): RequestContext {
  return { 'kms:EncryptionAlgorithm': algorithm, ...contextKeys(context) }
}

/** Encrypts under a key that was authorized, and found usable with this algorithm. */
export function encryptWith(
  store: Store,
  key: KeyRecord,
  { algorithm, context, plaintext }: Encryption & { readonly plaintext: Uint8Array },
): Uint8Array {
  if (algorithm === SYMMETRIC) {
    const material = secretOf(store, key)
    return sealBlob(plaintext, { keyId: key.id, number: key.material, material, context })
  }
  const publicKey = publicKeyOf(key)
  const capacity = oaepCapacity(modulusBits(publicKey), algorithm as OaepAlgorithm)
  if (plaintext.length > capacity)
    throw invalid(
      `Algorithm ${algorithm} and key spec ${key.spec} cannot encrypt data larger than ${String(capacity)} bytes.`,
    )
  return oaepEncrypt(plaintext, publicKey, algorithm as OaepAlgorithm)
}

/**
 * The other way round.
 * @throws KmsError InvalidCiphertextException.
 */
export function decryptWith(
  store: Store,
  key: KeyRecord,
  { algorithm, context, blob }: Encryption & { readonly blob: Uint8Array },
): Uint8Array {
  if (algorithm === SYMMETRIC) {
    const material = store.materials.secret(key.id, readBlob(blob).number)
    if (material === undefined) throw invalidCiphertext()
    return openBlob(blob, { keyId: key.id, material, context })
  }
  const plaintext = oaepDecrypt(blob, privateKeyOf(store, key), algorithm as OaepAlgorithm)
  if (plaintext === null) throw invalidCiphertext()
  return plaintext
}

/** The secret that a usable key works with today. */
export function secretOf(store: Store, key: KeyRecord): Uint8Array {
  const secret = store.materials.secret(key.id, key.material)
  if (secret === undefined) throw new RangeError(`key ${key.id} has no material`)
  return secret
}

export function privateKeyOf(store: Store, key: KeyRecord): KeyObject {
  const secret = Buffer.from(secretOf(store, key))
  return createPrivateKey({ key: secret, format: 'der', type: 'pkcs8' })
}

export function publicKeyOf({ publicKey }: KeyRecord): KeyObject {
  return createPublicKey({ key: Buffer.from(publicKey ?? []), format: 'der', type: 'spki' })
}
