// The speed of the verifier, behind the WebCrypto that the trust argument is written with: each key
// is imported once, and what a cache remembers as verified is not computed again. The functions here
// do nothing to a WebCrypto without memory. What gets into a cache is up to the trust argument, which
// remembers only what it has accepted as a whole.

import type { Certificate } from '../x509/certificate.ts'
import type { SignatureCache } from './cache.ts'
import { KeyRing } from './key-ring.ts'
import {
  importPoint,
  type SignedMessage,
  type WebCrypto,
  type WebCryptoSubtle,
} from './webcrypto.ts'

/** A WebCrypto with a memory. */
export class RememberingCrypto implements WebCrypto {
  readonly subtle: WebCryptoSubtle
  readonly cache: SignatureCache | undefined

  constructor(keys: KeyRing, cache?: SignatureCache) {
    const { subtle } = keys.crypto
    this.cache = cache
    this.subtle = {
      digest: (algorithm, data) => subtle.digest(algorithm, data),
      importKey: (_format, point) => keys.key(point),
      verify: (algorithm, key, signature, data) => subtle.verify(algorithm, key, signature, data),
    }
  }

  /** Whether exactly this key, message and signature are remembered as right. */
  knows(signed: SignedMessage): boolean {
    return this.cache?.knows(signed) === true
  }
}

/** The WebCrypto of a verifier: with its cache, or for the keys of its roots alone. */
export function rememberingCrypto(
  crypto: WebCrypto,
  cache: SignatureCache | undefined,
): RememberingCrypto {
  return new RememberingCrypto(cache ? cache.keyRing(crypto) : new KeyRing(crypto), cache)
}

/** A WebCrypto that imports each key once. */
export function keepingKeys(crypto: WebCrypto): RememberingCrypto {
  return crypto instanceof RememberingCrypto ? crypto : rememberingCrypto(crypto, undefined)
}

/**
 * Imports a key that will be needed: a runtime imports keys faster one after the other than each
 * between two signatures. A point that is not on the curve is left to the signature's check.
 */
export async function prepareKey(point: Uint8Array, crypto: WebCrypto): Promise<void> {
  if (crypto instanceof RememberingCrypto) await importPoint(point, crypto).catch(() => undefined)
}

/** The parsed form of a remembered certificate, which has exactly these bytes. */
export function rememberedCertificate(der: Uint8Array, crypto: WebCrypto): Certificate | undefined {
  return crypto instanceof RememberingCrypto ? crypto.cache?.certificate(der) : undefined
}

/** Remembers the certificates of a path, root first, that was trusted as a whole. */
export function rememberPath(path: readonly Certificate[], crypto: WebCrypto): void {
  if (crypto instanceof RememberingCrypto) crypto.cache?.rememberPath(path)
}

/** Remembers signatures of evidence that was trusted as a whole. */
export function rememberSignatures(verified: readonly SignedMessage[], crypto: WebCrypto): void {
  if (!(crypto instanceof RememberingCrypto)) return
  for (const signed of verified) crypto.cache?.remember(signed)
}
