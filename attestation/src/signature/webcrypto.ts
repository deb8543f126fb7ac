// The one seam to the runtime's cryptography: ECDSA P-384 with SHA-384, verification only.

/** An imported key: a CryptoKey, or what another implementation has in its place. */
export type VerificationKey = object

/** The part of WebCrypto's SubtleCrypto that is used. */
export interface WebCryptoSubtle {
  digest(algorithm: 'SHA-384', data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>
  importKey(
    format: 'raw',
    keyData: Uint8Array<ArrayBuffer>,
    algorithm: { name: 'ECDSA'; namedCurve: 'P-384' },
    extractable: boolean,
    keyUsages: 'verify'[],
  ): Promise<VerificationKey>
  verify(
    algorithm: { name: 'ECDSA'; hash: 'SHA-384' },
    key: VerificationKey,
    signature: Uint8Array<ArrayBuffer>,
    data: Uint8Array<ArrayBuffer>,
  ): Promise<boolean>
}

/** A WebCrypto implementation: `globalThis.crypto`, or any other with the same methods. */
export interface WebCrypto {
  readonly subtle: WebCryptoSubtle
}

/** An ECDSA P-384 SHA-384 signature to be checked. */
export interface SignedMessage {
  /** Uncompressed P-384 point, 97 bytes. */
  readonly publicKey: Uint8Array
  /** r || s, 96 bytes. */
  readonly signature: Uint8Array
  readonly message: Uint8Array
}

/** Length of an uncompressed P-384 point: 04, x, y. */
export const P384_POINT_BYTES = 97
/** Length of a P-384 signature as COSE and WebCrypto have it: r, s. */
export const P384_SIGNATURE_BYTES = 96
/** Length of a SHA-384 digest. */
export const SHA384_BYTES = 48

/** The runtime's own WebCrypto. */
export function runtimeCrypto(): WebCrypto {
  return globalThis.crypto
}

/** SHA-384 of bytes: a 48-byte digest. */
export async function sha384(
  bytes: Uint8Array,
  crypto: WebCrypto,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-384', unshared(bytes)))
}

/** Imports an uncompressed P-384 point (97 bytes); rejects points that are not on the curve. */
export function importPoint(point: Uint8Array, crypto: WebCrypto): Promise<VerificationKey> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384' } as const
  return crypto.subtle.importKey('raw', unshared(point), algorithm, false, ['verify'])
}

/** Whether `signature` (r || s, 96 bytes) over `message` was made with the key, ECDSA SHA-384. */
export function verifyP384(
  key: VerificationKey,
  signature: Uint8Array,
  message: Uint8Array,
  crypto: WebCrypto,
): Promise<boolean> {
  const algorithm = { name: 'ECDSA', hash: 'SHA-384' } as const
  return crypto.subtle.verify(algorithm, key, unshared(signature), unshared(message))
}

/** WebCrypto's types refuse shared memory; so does WebCrypto itself, with a TypeError. */
function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>
}
