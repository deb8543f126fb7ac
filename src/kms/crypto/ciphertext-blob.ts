// A ciphertext of a symmetric key: AES-256-GCM under a key of its own, derived with HKDF from the key's
// material and a random salt, so that no number of encryptions wears the key out. Header, key and encryption
// context are the associated data: a blob opens under its key and its context only.
//
//   "clkm" | version 1 | key id, 16 bytes | salt, 16 | IV, 12 | ciphertext | tag, 16

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { EncryptionContext } from '../fields.ts'
import { KmsError } from '../kms-error.ts'

const MAGIC = Buffer.from('clkm\x01', 'latin1')
const ID_BYTES = 16
const SALT_BYTES = 16
const IV_BYTES = 12
const TAG_BYTES = 16
const HEADER_BYTES = MAGIC.length + ID_BYTES + SALT_BYTES + IV_BYTES

/** The longest blob: AWS's limit for `CiphertextBlob`, in bytes. */
export const MAX_BLOB_BYTES = 6144

/** Encrypts under the 32 bytes of a key. */
export function sealBlob(plaintext: Uint8Array, { keyId, material, context }: BlobKey): Uint8Array {
  const id = Buffer.from(keyId.replaceAll('-', ''), 'hex')
  const header = Buffer.concat([MAGIC, id, randomBytes(SALT_BYTES + IV_BYTES)])
  const [key, iv] = keyAndIv(header, material)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(associatedData(header, context))
  return Buffer.concat([header, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** What seals and opens a blob. */
export interface BlobKey {
  /** UUID. */
  readonly keyId: string
  /** 32 bytes. */
  readonly material: Uint8Array
  readonly context: EncryptionContext
}

/**
 * The id of the key that a blob says it was made with; nothing is proven by it.
 * @throws KmsError InvalidCiphertextException.
 */
export function keyIdOf(blob: Uint8Array): string {
  const bytes = Buffer.from(blob)
  const isOurs =
    bytes.length > HEADER_BYTES + TAG_BYTES && bytes.subarray(0, MAGIC.length).equals(MAGIC)
  if (!isOurs) throw invalidCiphertext()
  const hex = bytes.subarray(MAGIC.length, MAGIC.length + ID_BYTES).toString('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/**
 * Decrypts a blob.
 * @throws KmsError InvalidCiphertextException when key, context or a single bit differ.
 */
export function openBlob(blob: Uint8Array, { keyId, material, context }: BlobKey): Uint8Array {
  if (keyIdOf(blob) !== keyId) throw invalidCiphertext()
  const header = Buffer.from(blob.subarray(0, HEADER_BYTES))
  const [key, iv] = keyAndIv(header, material)
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(associatedData(header, context)).setAuthTag(blob.subarray(-TAG_BYTES))
  try {
    const text = blob.subarray(HEADER_BYTES, -TAG_BYTES)
    return Buffer.concat([decipher.update(text), decipher.final()])
  } catch {
    throw invalidCiphertext()
  }
}

function keyAndIv(header: Buffer, material: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const salt = header.subarray(MAGIC.length + ID_BYTES, -IV_BYTES)
  const key = new Uint8Array(hkdfSync('sha256', material, salt, 'cloister-kms blob v1', 32))
  return [key, header.subarray(-IV_BYTES)]
}

/** Each name and value with its length, in the order of the names' bytes: one context, one encoding. */
function associatedData(header: Buffer, context: EncryptionContext): Buffer {
  const pairs = Object.entries(context).map((pair) => pair.map((text) => Buffer.from(text)))
  pairs.sort(([a = Buffer.alloc(0)], [b = Buffer.alloc(0)]) => Buffer.compare(a, b))
  const parts = pairs.flat().flatMap((bytes) => [lengthOf(bytes), bytes])
  return Buffer.concat([header, ...parts])
}

function lengthOf(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return length
}

/** AWS says no more either: which of the reasons it is would help to guess. */
function invalidCiphertext(): KmsError {
  return new KmsError(
    'InvalidCiphertextException',
    'the ciphertext or its encryption context is invalid',
  )
}
