// A ciphertext of a symmetric key: AES-256-GCM under a key of its own, derived with HKDF from the key's
// material and a random salt, so that no number of encryptions wears the key out. Header, key and encryption
// context are the associated data: a blob opens under its key and its context only.
//
//   "clkm" | version 2 | key id, 16 bytes | number of the material, 4, big-endian | salt, 16 | IV, 12 |
//   ciphertext | tag, 16
//
// Version 1 had no number: its blobs are of the first material.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { EncryptionContext } from '../fields.ts'
import { KmsError } from '../kms-error.ts'

const MAGIC = Buffer.from('clkm', 'latin1')
const ID_AT = MAGIC.length + 1
const ID_BYTES = 16
const NUMBER_AT = ID_AT + ID_BYTES
const SALT_BYTES = 16
const IV_BYTES = 12
const TAG_BYTES = 16
/** By version. */
const HEADER_BYTES: Readonly<Record<number, number>> = {
  1: NUMBER_AT + SALT_BYTES + IV_BYTES,
  2: NUMBER_AT + 4 + SALT_BYTES + IV_BYTES,
}

/** The longest blob: AWS's limit for `CiphertextBlob`, in bytes. */
export const MAX_BLOB_BYTES = 6144

/** Encrypts under the 32 bytes of a key's material. */
export function sealBlob(
  plaintext: Uint8Array,
  { keyId, number, material, context }: BlobKey & { readonly number: number },
): Uint8Array {
  const id = Buffer.from(keyId.replaceAll('-', ''), 'hex')
  const which = Buffer.alloc(4)
  which.writeUInt32BE(number)
  const random = randomBytes(SALT_BYTES + IV_BYTES)
  const header = Buffer.concat([MAGIC, Buffer.of(2), id, which, random])
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

/** What a blob says it was made with; nothing is proven by it. */
export interface BlobClaims {
  /** UUID. */
  readonly keyId: string
  /** The number of the key's material. */
  readonly number: number
}

/** @throws KmsError InvalidCiphertextException. */
export function readBlob(blob: Uint8Array): BlobClaims {
  const bytes = Buffer.from(blob)
  headerOf(bytes)
  const hex = bytes.subarray(ID_AT, NUMBER_AT).toString('hex')
  return {
    keyId: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    number: bytes[MAGIC.length] === 1 ? 1 : bytes.readUInt32BE(NUMBER_AT),
  }
}

/**
 * Decrypts a blob.
 * @throws KmsError InvalidCiphertextException when key, context or a single bit differ.
 */
export function openBlob(blob: Uint8Array, { keyId, material, context }: BlobKey): Uint8Array {
  if (readBlob(blob).keyId !== keyId) throw invalidCiphertext()
  const header = headerOf(Buffer.from(blob))
  const [key, iv] = keyAndIv(header, material)
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(associatedData(header, context)).setAuthTag(blob.subarray(-TAG_BYTES))
  try {
    const text = blob.subarray(header.length, -TAG_BYTES)
    return Buffer.concat([decipher.update(text), decipher.final()])
  } catch {
    throw invalidCiphertext()
  }
}

function headerOf(blob: Buffer): Buffer {
  const length = HEADER_BYTES[blob[MAGIC.length] ?? 0]
  const isOurs = length !== undefined && blob.subarray(0, MAGIC.length).equals(MAGIC)
  if (!isOurs || blob.length <= length + TAG_BYTES) throw invalidCiphertext()
  return blob.subarray(0, length)
}

function keyAndIv(header: Buffer, material: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const salt = header.subarray(-IV_BYTES - SALT_BYTES, -IV_BYTES)
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
export function invalidCiphertext(): KmsError {
  return new KmsError(
    'InvalidCiphertextException',
    'the ciphertext or its encryption context is invalid',
  )
}
