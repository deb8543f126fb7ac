// The signature section: aws-nitro-enclaves-image-format 0.5.0. CBOR of an array with one map, whose two
// byte strings are written as ARRAYS OF INTEGERS; QEMU's reader wants exactly this form, and the
// certificate first. The bytes of the signature are an untagged COSE_Sign1 (cose-signature.ts).

import { decodeCbor, isArray, isMap, type CborValue } from '@cloister/attestation/cbor'

import { encodeCbor } from '../cbor.ts'
import { CloisterError, check } from '../errors.ts'
import { MAX_BUFFERED_BYTES } from './layout.ts'

export interface SignatureSection {
  /** The PEM file of the signer, verbatim; its first certificate counts. */
  readonly certificatePem: Uint8Array
  /** An untagged COSE_Sign1. */
  readonly signature: Uint8Array
}

const CERTIFICATE_KEY = 'signing_certificate'
const SIGNATURE_KEY = 'signature'

/** @throws ERR_EIF_SIGNATURE_FORMAT */
export function decodeSignatureSection(bytes: Uint8Array): SignatureSection {
  const list = decodeStrictly(bytes)
  checkFormat(isArray(list) && list.length === 1, 'not an array of one signature')
  const map = list[0]
  checkFormat(isMap(map) && map.size === 2, 'not a map of certificate and signature')
  checkFormat(map.keys().next().value === CERTIFICATE_KEY, 'the certificate is not first')
  return {
    certificatePem: bytesOfIntegers(map.get(CERTIFICATE_KEY)),
    signature: bytesOfIntegers(map.get(SIGNATURE_KEY)),
  }
}

/** @throws ERR_EIF_SIGNING when certificate and signature do not fit into a section */
export function encodeSignatureSection(section: SignatureSection): Uint8Array {
  const map = new Map([
    [CERTIFICATE_KEY, [...section.certificatePem]],
    [SIGNATURE_KEY, [...section.signature]],
  ])
  const bytes = encodeCbor([map])
  const limit = MAX_BUFFERED_BYTES.signature
  check(bytes.length <= limit, 'ERR_EIF_SIGNING', 'the signing certificate is too long', {
    details: { size: bytes.length, limit },
  })
  return bytes
}

/**
 * Decodes one CBOR item, with room for the integers of a whole section.
 * @throws ERR_EIF_SIGNATURE_FORMAT
 */
export function decodeStrictly(bytes: Uint8Array): CborValue {
  try {
    return decodeCbor(bytes, { maxItems: MAX_BUFFERED_BYTES.signature })
  } catch (cause) {
    throw new CloisterError('ERR_EIF_SIGNATURE_FORMAT', 'the signature is not strict CBOR', {
      cause,
    })
  }
}

/** @throws ERR_EIF_SIGNATURE_FORMAT */
export function bytesOfIntegers(value: CborValue | undefined): Uint8Array {
  checkFormat(isArray(value), 'not an array of integers')
  return Uint8Array.from(value, (item) => {
    checkFormat(typeof item === 'number' && item >= 0 && item <= 255, 'an integer is not a byte')
    return item
  })
}

/** @throws `ERR_EIF_SIGNATURE_FORMAT` with `problem` in its message when `condition` is false */
export function checkFormat(condition: boolean, problem: string): asserts condition {
  check(condition, 'ERR_EIF_SIGNATURE_FORMAT', `the signature section is malformed: ${problem}`)
}
