// The signatures of one verification: each key is imported once, known signatures are not computed
// again, and the cache learns only what the caller says is trusted.

import type { SignatureCache } from './cache.ts'
import { type SignedMessage } from './cache.ts'
import { importPoint, P384_SIGNATURE_BYTES, verifyP384, type WebCrypto } from './webcrypto.ts'

/** Checks the signatures of one document. */
export class SignatureSession {
  readonly crypto: WebCrypto
  readonly #cache: SignatureCache | undefined
  readonly #keys = new Map<Uint8Array, Promise<CryptoKey>>()

  constructor(crypto: WebCrypto, cache?: SignatureCache) {
    this.crypto = crypto
    this.#cache = cache
  }

  /**
   * Whether the signature is right. False also for a public key that is no point of the curve.
   */
  async verify(signed: SignedMessage): Promise<boolean> {
    if (signed.signature.length !== P384_SIGNATURE_BYTES) return false
    if (this.#cache?.knows(signed)) return true
    try {
      const key = await this.#import(signed.publicKey)
      return await verifyP384(key, signed.signature, signed.message, this.crypto)
    } catch (error) {
      // WebCrypto throws a DOMException on a bad point, and some runtimes on r or s out of range.
      if (error instanceof TypeError) throw error
      return false
    }
  }

  /** Puts signatures that were verified in this session into the cache. */
  async trust(verified: readonly SignedMessage[]): Promise<void> {
    if (!this.#cache) return
    for (const signed of verified) {
      if (this.#cache.knows(signed)) continue
      this.#cache.remember(signed)
      await this.trustKey(signed.publicKey)
    }
  }

  /** Puts only the key of a signature that was verified in this session into the cache. */
  async trustKey(publicKey: Uint8Array): Promise<void> {
    const key = this.#keys.get(publicKey)
    if (key) this.#cache?.rememberKey(publicKey, await key)
  }

  #import(publicKey: Uint8Array): Promise<CryptoKey> {
    const imported = this.#keys.get(publicKey) ?? this.#cached(publicKey)
    this.#keys.set(publicKey, imported)
    return imported
  }

  #cached(publicKey: Uint8Array): Promise<CryptoKey> {
    const known = this.#cache?.key(publicKey)
    return known ? Promise.resolve(known) : importPoint(publicKey, this.crypto)
  }
}
