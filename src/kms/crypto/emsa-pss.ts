// RSASSA-PSS over a digest that is there already, which Node.js does not offer: EMSA-PSS of RFC 8017
// section 9.1 with MGF1 of the same hash and a salt of the hash's length, over the bare RSA operation.

import {
  constants,
  createHash,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto'
import { modulusBits } from './rsa-oaep.ts'

const padding = constants.RSA_NO_PADDING
const TRAILER = 0xbc
const ZEROS = Buffer.alloc(8)

/** Signs a digest of `hash` with an RSA private key whose modulus has a multiple of eight bits. */
export function pssSign(digest: Uint8Array, key: KeyObject, hash: string): Uint8Array {
  const size = modulusBits(key) / 8
  const salt = randomBytes(digest.length)
  const h = createHash(hash).update(ZEROS).update(digest).update(salt).digest()
  const db = Buffer.alloc(size - h.length - 1)
  db[db.length - salt.length - 1] = 1
  salt.copy(db, db.length - salt.length)
  const encoded = Buffer.concat([masked(db, h, hash), h, Buffer.of(TRAILER)])
  // "Decryption" without padding is the private operation.
  return privateDecrypt({ key, padding }, encoded)
}

/** Whether a signature is one of this digest by the key's owner. */
export function pssVerify(
  digest: Uint8Array,
  signature: Uint8Array,
  { key, hash }: { readonly key: KeyObject; readonly hash: string },
): boolean {
  const encoded = rawVerify(signature, key)
  const length = digest.length
  if (encoded === null || encoded.at(-1) !== TRAILER) return false
  const at = encoded.length - length - 1
  const [maskedDb, h] = [encoded.subarray(0, at), encoded.subarray(at, -1)]
  if (((maskedDb[0] ?? 0) & 0x80) !== 0) return false
  const db = masked(maskedDb, h, hash)
  const one = db.length - length - 1
  if (db[one] !== 1 || db.subarray(0, one).some((byte) => byte !== 0)) return false
  const salt = db.subarray(one + 1)
  const expected = createHash(hash).update(ZEROS).update(digest).update(salt).digest()
  return timingSafeEqual(expected, h)
}

function rawVerify(signature: Uint8Array, key: KeyObject): Buffer | null {
  try {
    return publicEncrypt({ key, padding }, signature)
  } catch {
    // A number beyond the modulus.
    return null
  }
}

/** With the top bit clear, since the encoded message has one bit less than the modulus. */
function masked(db: Uint8Array, seed: Uint8Array, hash: string): Buffer {
  const mask = mgf1(seed, db.length, hash)
  const result = Buffer.from(db.map((byte, at) => byte ^ (mask[at] ?? 0)))
  result[0] = (result[0] ?? 0) & 0x7f
  return result
}

function mgf1(seed: Uint8Array, length: number, hash: string): Buffer {
  const blocks: Buffer[] = []
  for (let at = 0, counter = 0; at < length; counter++) {
    const number = Buffer.alloc(4)
    number.writeUInt32BE(counter)
    const block = createHash(hash).update(seed).update(number).digest()
    blocks.push(block)
    at += block.length
  }
  return Buffer.concat(blocks).subarray(0, length)
}
