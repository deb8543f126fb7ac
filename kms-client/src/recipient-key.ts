// The RSA key of one request: its public part goes into the attestation document, and what KMS encrypts for it
// is opened once. A response to another request is therefore never accepted.

import {
  constants,
  createDecipheriv,
  createHash,
  generateKeyPair,
  privateDecrypt,
  type Decipher,
  type KeyObject,
} from 'node:crypto'
import { promisify } from 'node:util'
import { parseAuthEnveloped, parseEnveloped, type AuthEnveloped } from './cms.ts'
import { KmsClientError } from './errors.ts'

const CONTENT_KEY_BYTES = 32

export class RecipientKey {
  readonly #privateKey: KeyObject
  /** DER SubjectPublicKeyInfo, for the document's `public_key`. */
  readonly spki: Uint8Array

  private constructor(privateKey: KeyObject, spki: Uint8Array) {
    this.#privateKey = privateKey
    this.spki = spki
  }

  /** A fresh RSA key of 2048 bits. */
  static async generate(): Promise<RecipientKey> {
    const pair = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
    return new RecipientKey(pair.privateKey, pair.publicKey.export({ type: 'spki', format: 'der' }))
  }

  /**
   * Decrypts a CiphertextForRecipient.
   * @param authenticated - Whether it must be AuthEnvelopedData; EnvelopedData otherwise.
   * @throws KmsClientError ERR_KMS_CLIENT_CMS
   */
  open(cms: Uint8Array, authenticated = false): Uint8Array {
    const sealed = authenticated ? parseAuthEnveloped(cms) : parseEnveloped(cms)
    if (!createHash('sha256').update(this.spki).digest().equals(sealed.keyId))
      throw unopened('it is encrypted for another key')
    const key = this.#contentKey(sealed.encryptedKey)
    try {
      const decipher = sealed.mac
        ? gcm(key, sealed)
        : createDecipheriv('aes-256-cbc', key, sealed.iv)
      return Uint8Array.from(Buffer.concat([decipher.update(sealed.ciphertext), decipher.final()]))
    } catch (cause) {
      throw unopened('its content cannot be decrypted', cause)
    }
  }

  #contentKey(encrypted: Uint8Array): Buffer {
    const key = this.#privateKey
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    try {
      const contentKey = privateDecrypt({ key, padding, oaepHash: 'sha256' }, encrypted)
      if (contentKey.length === CONTENT_KEY_BYTES) return contentKey
    } catch (cause) {
      throw unopened('its key cannot be decrypted', cause)
    }
    throw unopened('its key is not an AES-256 key')
  }
}

function gcm(key: Uint8Array, { iv, mac }: AuthEnveloped): Decipher {
  return createDecipheriv('aes-256-gcm', key, iv, { authTagLength: mac.length }).setAuthTag(mac)
}

function unopened(reason: string, cause?: unknown): KmsClientError {
  const message = `CiphertextForRecipient cannot be opened: ${reason}`
  return new KmsClientError('ERR_KMS_CLIENT_CMS', message, { cause })
}
