// Imported keys, each remembered by the byte string it was read from, for as long as that exists:
// a root's with its verifier, a remembered certificate's with its entry in the cache, every other
// with its document. An import proves nothing, so having a key here says nothing about trust.

import { importPoint, type VerificationKey, type WebCrypto } from './webcrypto.ts'

/** Imports keys with one WebCrypto, each once. */
export class KeyRing {
  readonly crypto: WebCrypto
  readonly #keys = new WeakMap<Uint8Array, VerificationKey>()

  constructor(crypto: WebCrypto) {
    this.crypto = crypto
  }

  /**
   * The key of an uncompressed P-384 point, 97 bytes that must not change afterwards; rejects when it
   * is not on the curve.
   */
  async key(point: Uint8Array): Promise<VerificationKey> {
    const known = this.#keys.get(point)
    if (known) return known
    const key = await importPoint(point, this.crypto)
    this.#keys.set(point, key)
    return key
  }
}
