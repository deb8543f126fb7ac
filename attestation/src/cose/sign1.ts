// COSE_Sign1 (RFC 9052 section 4.2) with an attached payload and ES384 (RFC 9053 section 2.1) only.
// Left out: detached payloads, external data, counter signatures, every other algorithm.

import { concatBytes, fromHex } from '../bytes.ts'
import { decodeCbor, isArray, isBytes, isMap, type CborMap } from '../cbor/index.ts'
import { check } from '../errors.ts'
import { verifySignature } from '../signature/verify-signature.ts'
import { P384_SIGNATURE_BYTES, runtimeCrypto, type WebCrypto } from '../signature/webcrypto.ts'

const MAJOR_TAG = 6
const TAG_COSE_SIGN1 = 0xd2
const HEADER_ALG = 1
const ES384 = -35
/** Head of an array of four, and the text "Signature1". */
const SIGNATURE1 = /* @__PURE__ */ fromHex('846a5369676e617475726531')
const NO_EXTERNAL_DATA = /* @__PURE__ */ fromHex('40')

/** A decoded COSE_Sign1. Nothing in it is verified; byte strings are views into the input. */
export interface Sign1 {
  /** The protected header exactly as received: the bytes inside its byte string. */
  readonly protectedHeader: Uint8Array
  /** Not covered by the signature. */
  readonly unprotectedHeader: CborMap
  readonly payload: Uint8Array
  /** r || s, 96 bytes. */
  readonly signature: Uint8Array
}

/** Bounds of {@link decodeSign1}. */
export interface DecodeSign1Options {
  /** Longest message in bytes; 65536 by default. */
  readonly maxBytes?: number
}

/**
 * Decodes a COSE_Sign1, tagged 18 or untagged, whose protected header is exactly `{1: -35}`.
 * @throws AttestationError ERR_CBOR_*, ERR_COSE_TAG, ERR_COSE_FORMAT, ERR_COSE_HEADER,
 * ERR_COSE_ALGORITHM.
 * @see RFC 9052 section 4.2
 */
export function decodeSign1(bytes: Uint8Array, options: DecodeSign1Options = {}): Sign1 {
  const elements = decodeCbor(untagged(bytes), options)
  check(isArray(elements) && elements.length === 4, 'ERR_COSE_FORMAT', 'not an array of four')
  const [protectedHeader, unprotectedHeader, payload, signature] = elements
  check(isBytes(protectedHeader), 'ERR_COSE_FORMAT', 'protected header is not a byte string')
  check(isMap(unprotectedHeader), 'ERR_COSE_FORMAT', 'unprotected header is not a map')
  check(isBytes(payload), 'ERR_COSE_FORMAT', 'payload is not an attached byte string')
  check(isBytes(signature), 'ERR_COSE_FORMAT', 'signature is not a byte string')
  checkProtected(protectedHeader)
  check(!unprotectedHeader.has(HEADER_ALG), 'ERR_COSE_HEADER', 'alg in the unprotected header')
  check(
    signature.length === P384_SIGNATURE_BYTES,
    'ERR_COSE_FORMAT',
    `signature has ${signature.length} bytes, ES384 has ${P384_SIGNATURE_BYTES}`,
  )
  return { protectedHeader, unprotectedHeader, payload, signature }
}

/**
 * Verifies the signature over the received bytes with an uncompressed P-384 point (97 bytes).
 * @throws AttestationError ERR_COSE_SIGNATURE.
 * @see RFC 9052 section 4.4
 */
export async function verifySign1(
  sign1: Sign1,
  publicKey: Uint8Array,
  crypto: WebCrypto = runtimeCrypto(),
): Promise<void> {
  const { signature, protectedHeader, payload } = sign1
  const message = sigStructure(protectedHeader, payload)
  const right = await verifySignature({ publicKey, signature, message }, crypto)
  check(right, 'ERR_COSE_SIGNATURE', 'the COSE signature does not match the payload and the key')
}

/**
 * The Sig_structure of a COSE_Sign1, which is what gets signed: `["Signature1", protected, h'', payload]`
 * as CBOR. Both arguments are the contents of their byte strings.
 * @see RFC 9052 section 4.4
 */
export function sigStructure(
  protectedHeader: Uint8Array,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return concatBytes(
    SIGNATURE1,
    byteStringHead(protectedHeader.length),
    protectedHeader,
    NO_EXTERNAL_DATA,
    byteStringHead(payload.length),
    payload,
  )
}

function byteStringHead(length: number): Uint8Array {
  if (length < 24) return Uint8Array.of(0x40 | length)
  if (length < 0x100) return Uint8Array.of(0x58, length)
  if (length < 0x1_0000) return Uint8Array.of(0x59, length >> 8, length)
  return Uint8Array.of(0x5a, length >> 24, length >> 16, length >> 8, length)
}

function untagged(bytes: Uint8Array): Uint8Array {
  const initial = bytes[0] ?? 0
  if (initial >> 5 !== MAJOR_TAG) return bytes
  check(initial === TAG_COSE_SIGN1, 'ERR_COSE_TAG', 'the CBOR tag is not 18, COSE_Sign1')
  return bytes.subarray(1)
}

function checkProtected(protectedHeader: Uint8Array): void {
  check(protectedHeader.length > 0, 'ERR_COSE_ALGORITHM', 'the protected header is empty')
  const header = decodeCbor(protectedHeader)
  check(isMap(header), 'ERR_COSE_FORMAT', 'the protected header is not a map')
  const algorithm = header.get(HEADER_ALG)
  check(algorithm === ES384, 'ERR_COSE_ALGORITHM', 'alg is not ES384 (-35)', {
    expected: ES384,
    actual: typeof algorithm === 'number' || typeof algorithm === 'string' ? algorithm : null,
  })
  check(header.size === 1, 'ERR_COSE_HEADER', 'the protected header has more than alg')
}
