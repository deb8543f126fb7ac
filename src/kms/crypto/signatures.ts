// Signatures in AWS's algorithms: RSASSA-PSS and RSASSA-PKCS1-v1_5 (RFC 8017 section 8), ECDSA (FIPS 186-5)
// in DER. A message is hashed by Node.js; of a digest that is there already, Node.js signs nothing, so
// that PSS and ECDSA over it are made from their parts.

import {
  constants,
  privateEncrypt,
  publicDecrypt,
  sign,
  timingSafeEqual,
  verify,
  type KeyObject,
} from 'node:crypto'
import { p256, p384, p521 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import type { SigningAlgorithm } from './key-specs.ts'
import { pssSign, pssVerify } from './emsa-pss.ts'
import { modulusBits } from './rsa-oaep.ts'

/** What is signed: a message, or the digest of one. */
export interface Signable {
  readonly message: Uint8Array
  readonly isDigest: boolean
}

/** The hash of an algorithm, as Node.js names it. */
function hashOf(algorithm: SigningAlgorithm): 'sha256' | 'sha384' | 'sha512' {
  return `sha${algorithm.slice(-3)}` as 'sha256'
}

/** The length of its digests in bytes. */
export function digestBytes(algorithm: SigningAlgorithm): number {
  return Number(algorithm.slice(-3)) / 8
}

/** Signs with a private key of the algorithm's kind; a digest has the algorithm's length. */
export function signWith(
  key: KeyObject,
  algorithm: SigningAlgorithm,
  { message, isDigest }: Signable,
): Uint8Array {
  const hash = hashOf(algorithm)
  if (!isDigest) return sign(hash, message, { key, ...paddingOf(algorithm) })
  if (algorithm.startsWith('RSASSA_PSS')) return pssSign(message, key, hash)
  if (algorithm.startsWith('RSASSA_')) return privateEncrypt(key, digestInfo(hash, message))
  const { curve, secret } = curveOf(key)
  return curve.sign(message, secret, { prehash: false, lowS: false, format: 'der' })
}

/** Whether a signature is valid; a malformed one is not. */
export function verifyWith(
  key: KeyObject,
  algorithm: SigningAlgorithm,
  { message, isDigest, signature }: Signable & { readonly signature: Uint8Array },
): boolean {
  const hash = hashOf(algorithm)
  // OpenSSL takes a shorter signature for a number with zeros before it: one signature, several encodings.
  if (algorithm.startsWith('RSASSA_') && signature.length !== modulusBits(key) / 8) return false
  if (!isDigest) return verify(hash, message, { key, ...paddingOf(algorithm) }, signature)
  if (algorithm.startsWith('RSASSA_PSS')) return pssVerify(message, signature, { key, hash })
  if (algorithm.startsWith('RSASSA_')) return verifyPkcs1(key, signature, digestInfo(hash, message))
  return verifyEcdsa(key, message, signature)
}

function paddingOf(algorithm: SigningAlgorithm): object {
  if (algorithm.startsWith('RSASSA_PSS'))
    return {
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    }
  return algorithm.startsWith('RSASSA_') ? { padding: constants.RSA_PKCS1_PADDING } : {}
}

/** DER of DigestInfo before the digest, RFC 8017 section 9.2 note 1. */
const DIGEST_INFO = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
} as const

function digestInfo(hash: keyof typeof DIGEST_INFO, digest: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(DIGEST_INFO[hash], 'hex'), digest])
}

function verifyPkcs1(key: KeyObject, signature: Uint8Array, expected: Buffer): boolean {
  try {
    const found = publicDecrypt(key, signature)
    return found.length === expected.length && timingSafeEqual(found, expected)
  } catch {
    return false
  }
}

const CURVES = { 'P-256': p256, 'P-384': p384, 'P-521': p521, secp256k1 } as const

interface CurvePoint {
  readonly crv: keyof typeof CURVES
  readonly x: string
  readonly y: string
  readonly d?: string
}

function curveOf(key: KeyObject): {
  readonly curve: (typeof CURVES)[keyof typeof CURVES]
  readonly secret: Uint8Array
  readonly point: Uint8Array
} {
  const { crv, x, y, d = '' } = key.export({ format: 'jwk' }) as unknown as CurvePoint
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64url')
  const point = Buffer.concat([Buffer.of(4), bytes(x), bytes(y)])
  return { curve: CURVES[crv], secret: bytes(d), point }
}

function verifyEcdsa(key: KeyObject, digest: Uint8Array, signature: Uint8Array): boolean {
  const { curve, point } = curveOf(key)
  try {
    return curve.verify(signature, digest, point, { prehash: false, lowS: false, format: 'der' })
  } catch {
    // Not DER of two numbers.
    return false
  }
}
