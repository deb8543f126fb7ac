// A bounded memory of signatures that verified. It holds no opinions: only triples of key, message
// and signature that were true, and those stay true. Dates, names and policy are checked anew every
// time, and nothing of a failed chain gets in.

import { equalBytes } from '../bytes.ts'

/** An ECDSA P-384 SHA-384 signature to be checked. */
export interface SignedMessage {
  /** Uncompressed P-384 point, 97 bytes. */
  readonly publicKey: Uint8Array
  /** r || s, 96 bytes. */
  readonly signature: Uint8Array
  readonly message: Uint8Array
}

const INDEX_BYTES = 16

/** Remembers what verified, so that a known certificate costs no second verification. */
export class SignatureCache {
  readonly #maxEntries: number
  readonly #verified = new Map<string, SignedMessage>()
  readonly #keys = new Map<string, CryptoKey>()

  /**
   * An entry takes about 1.5 kB; the least recently used one goes when there are more than
   * `maxEntries`.
   * @throws RangeError when `maxEntries` is not a positive integer.
   */
  constructor(maxEntries = 256) {
    if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) {
      throw new RangeError('maxEntries must be a positive integer')
    }
    this.#maxEntries = maxEntries
  }

  /** How many signatures are remembered. */
  get size(): number {
    return this.#verified.size
  }

  /** Forgets everything. */
  clear(): void {
    this.#verified.clear()
    this.#keys.clear()
  }

  /** Whether exactly this key, message and signature were remembered. */
  knows(signed: SignedMessage): boolean {
    const index = indexOf(signed.signature, INDEX_BYTES)
    const known = this.#verified.get(index)
    if (!known || !sameTriple(known, signed)) return false
    this.#put(this.#verified, index, known)
    return true
  }

  /** The imported key of a remembered signature. */
  key(publicKey: Uint8Array): CryptoKey | undefined {
    return this.#keys.get(indexOf(publicKey, publicKey.length))
  }

  /** Remembers a key that made a signature in a chain that was trusted. */
  rememberKey(publicKey: Uint8Array, key: CryptoKey): void {
    this.#put(this.#keys, indexOf(publicKey, publicKey.length), key)
  }

  /** Remembers a signature of a chain that was trusted, as a copy. */
  remember({ publicKey, signature, message }: SignedMessage): void {
    this.#put(this.#verified, indexOf(signature, INDEX_BYTES), {
      publicKey: publicKey.slice(),
      signature: signature.slice(),
      message: message.slice(),
    })
  }

  /** Inserts as the most recently used entry; the least recently used one goes when full. */
  #put<V>(entries: Map<string, V>, index: string, value: V): void {
    entries.delete(index)
    entries.set(index, value)
    if (entries.size <= this.#maxEntries) return
    const oldest = entries.keys().next()
    if (!oldest.done) entries.delete(oldest.value)
  }
}

function indexOf(bytes: Uint8Array, length: number): string {
  return String.fromCharCode(...bytes.subarray(0, length))
}

function sameTriple(a: SignedMessage, b: SignedMessage): boolean {
  return (
    equalBytes(a.signature, b.signature) &&
    equalBytes(a.publicKey, b.publicKey) &&
    equalBytes(a.message, b.message)
  )
}
