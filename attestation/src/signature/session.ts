// The signatures of one verification: each key is imported once, known signatures are not computed
// again, and the cache learns only what the caller says is trusted.

import type { Certificate } from '../x509/certificate.ts'
import type { SignatureCache, SignedMessage } from './cache.ts'
import { KeyRing } from './key-ring.ts'
import { P384_SIGNATURE_BYTES, verifyP384, type WebCrypto } from './webcrypto.ts'

/** Checks the signatures of one document. */
export class SignatureSession {
  readonly crypto: WebCrypto
  readonly cache: SignatureCache | undefined
  readonly #keys: KeyRing

  constructor(keys: KeyRing | WebCrypto, cache?: SignatureCache) {
    this.#keys = keys instanceof KeyRing ? keys : new KeyRing(keys)
    this.crypto = this.#keys.crypto
    this.cache = cache
  }

  /**
   * Imports a key that will be needed: a runtime imports keys faster one after the other than each
   * between two signatures. Of a key that is no point of the curve only {@link verify} speaks.
   */
  async expectKey(publicKey: Uint8Array): Promise<void> {
    await this.#keys.key(publicKey).catch(() => undefined)
  }

  /**
   * Whether the signature is right. False also for a public key that is no point of the curve.
   */
  async verify({ publicKey, signature, message }: SignedMessage): Promise<boolean> {
    if (signature.length !== P384_SIGNATURE_BYTES) return false
    try {
      const key = await this.#keys.key(publicKey)
      return await verifyP384(key, signature, message, this.crypto)
    } catch (error) {
      // WebCrypto throws a DOMException on a bad point, and some runtimes on r or s out of range.
      if (error instanceof TypeError) throw error
      return false
    }
  }

  /** As {@link verify}, but a remembered signature is not computed again. */
  async verifyUnlessKnown(signed: SignedMessage): Promise<boolean> {
    return this.cache?.knows(signed) === true || this.verify(signed)
  }

  /** Whether a certificate is remembered as signed by exactly its issuer's key. */
  isKnown(certificate: Certificate, issuer: Certificate): boolean {
    return this.cache?.isSigned(certificate, issuer.publicKey) === true
  }

  /** Puts signatures that were verified in this session into the cache. */
  trust(verified: readonly SignedMessage[]): void {
    for (const signed of verified) this.cache?.remember(signed)
  }
}
