// Signs EAR claims as a JWT (RFC 7519, JWS compact form) with an ECDSA key of the caller.

import { toBase64Url } from '../base64.ts'
import type { EarClaims } from './claims.ts'

/** A private key: a CryptoKey, or what another WebCrypto has in its place. */
export interface EarSigningKey {
  readonly algorithm: { readonly name: string; readonly namedCurve?: string }
}

/** The part of WebCrypto's SubtleCrypto that signs; the signature is `r || s`. */
export interface EarSubtle {
  sign(
    algorithm: { name: 'ECDSA'; hash: 'SHA-256' | 'SHA-384' },
    key: EarSigningKey,
    data: Uint8Array<ArrayBuffer>,
  ): Promise<ArrayBuffer>
}

/** A key, and its name for those who verify. */
export interface EarSigner {
  /** An ECDSA private key: P-256 gives ES256, P-384 gives ES384. */
  readonly key: EarSigningKey
  readonly keyId?: string
  /** The WebCrypto that the key belongs to; the runtime's own by default. */
  readonly subtle?: EarSubtle
}

const ALGORITHMS = {
  'P-256': { alg: 'ES256', hash: 'SHA-256' },
  'P-384': { alg: 'ES384', hash: 'SHA-384' },
} as const

/**
 * Signs claims: a compact JWS of media type `application/eat+jwt`.
 * @throws TypeError when the key is not an ECDSA key of P-256 or P-384.
 */
export async function signEar(claims: EarClaims, signer: EarSigner): Promise<string> {
  const { key, keyId, subtle = runtimeSubtle() } = signer
  const { alg, hash } = algorithmOf(key)
  const header = { alg, typ: 'eat+jwt', ...(keyId === undefined ? {} : { kid: keyId }) }
  const signed = `${encode(header)}.${encode(claims)}`
  const bytes = new TextEncoder().encode(signed)
  const signature = await subtle.sign({ name: 'ECDSA', hash }, key, bytes)
  return `${signed}.${toBase64Url(new Uint8Array(signature))}`
}

function runtimeSubtle(): EarSubtle {
  return globalThis.crypto.subtle
}

function algorithmOf({ algorithm }: EarSigningKey): (typeof ALGORITHMS)[keyof typeof ALGORITHMS] {
  const { namedCurve: curve } = algorithm
  if (algorithm.name === 'ECDSA' && (curve === 'P-256' || curve === 'P-384')) {
    return ALGORITHMS[curve]
  }
  throw new TypeError('the key is not an ECDSA key of P-256 or P-384')
}

function encode(value: object): string {
  return toBase64Url(new TextEncoder().encode(JSON.stringify(value)))
}
