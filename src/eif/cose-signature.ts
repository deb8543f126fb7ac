// The COSE_Sign1 over PCR0 in a signed image: aws-nitro-enclaves-image-format 0.5.0; RFC 9052 section 4.4
// for what is signed, RFC 9053 section 2.1 for ECDSA. The curve of the key chooses the algorithm.

import { sigStructure } from '@cloister/attestation/cose'
import { isArray, isBytes, isMap } from '@cloister/attestation/cbor'
import { sign, verify, type KeyObject } from 'node:crypto'

import { encodeCbor, type CborInput } from '../cbor.ts'
import { check } from '../errors.ts'
import { bytesOfIntegers, checkFormat, decodeStrictly } from './signature-section.ts'

interface EcdsaAlgorithm {
  /** OpenSSL's name of the curve. */
  readonly curve: string
  /** COSE algorithm number. */
  readonly number: number
  readonly hash: 'sha256' | 'sha384' | 'sha512'
}

const ALGORITHMS: readonly EcdsaAlgorithm[] = [
  { curve: 'prime256v1', number: -7, hash: 'sha256' },
  { curve: 'secp384r1', number: -35, hash: 'sha384' },
  { curve: 'secp521r1', number: -36, hash: 'sha512' },
]

const HEADER_ALG = 1
/** r || s, each padded to the length of the curve's order, as COSE wants it. */
const dsaEncoding = 'ieee-p1363'

/**
 * Signs PCR0 (48 bytes); returns an untagged COSE_Sign1.
 * @throws ERR_EIF_SIGNING when the key is not on P-256, P-384 or P-521
 */
export function signPcr0(pcr0: Uint8Array, privateKey: KeyObject): Uint8Array {
  const algorithm = algorithmOf(privateKey)
  check(algorithm !== undefined, 'ERR_EIF_SIGNING', 'the private key is not on a NIST curve')
  const protectedHeader = encodeCbor(new Map([[HEADER_ALG, algorithm.number]]))
  const payload = encodeCbor(
    new Map<string, CborInput>([
      ['register_index', 0],
      ['register_value', [...pcr0]],
    ]),
  )
  const key = { key: privateKey, dsaEncoding } as const
  const signature = sign(algorithm.hash, sigStructure(protectedHeader, payload), key)
  return encodeCbor([protectedHeader, new Map(), payload, new Uint8Array(signature)])
}

/**
 * Verifies that an untagged COSE_Sign1 signs this PCR0 (48 bytes) with this key.
 * @throws ERR_EIF_SIGNATURE_FORMAT, ERR_EIF_SIGNATURE_INVALID
 */
export function verifyPcr0(sign1: Uint8Array, pcr0: Uint8Array, publicKey: KeyObject): void {
  const elements = decodeStrictly(sign1)
  checkFormat(isArray(elements) && elements.length === 4, 'not a COSE_Sign1')
  const [protectedHeader, unprotectedHeader, payload, signature] = elements
  checkFormat(isBytes(protectedHeader), 'the protected header is not a byte string')
  checkFormat(isMap(unprotectedHeader) && unprotectedHeader.size === 0, 'unprotected headers')
  checkFormat(isBytes(payload) && isBytes(signature), 'payload or signature is not a byte string')
  const algorithm = algorithmOf(publicKey)
  check(algorithm !== undefined, 'ERR_EIF_SIGNATURE_INVALID', 'the key is not on a NIST curve')
  const header = decodeStrictly(protectedHeader)
  checkFormat(isMap(header) && header.size === 1, 'the protected header has more than alg')
  const isForKey = header.get(HEADER_ALG) === algorithm.number
  check(isForKey, 'ERR_EIF_SIGNATURE_INVALID', 'the algorithm does not fit the key')
  const key = { key: publicKey, dsaEncoding } as const
  const isRight = verify(algorithm.hash, sigStructure(protectedHeader, payload), key, signature)
  check(isRight, 'ERR_EIF_SIGNATURE_INVALID', 'the signature does not fit the certificate')
  checkPayload(payload, pcr0)
}

function checkPayload(payload: Uint8Array, pcr0: Uint8Array): void {
  const map = decodeStrictly(payload)
  checkFormat(isMap(map) && map.size === 2, 'the payload is not a register')
  checkFormat(map.get('register_index') === 0, 'the signed register is not PCR0')
  const actual = Buffer.from(bytesOfIntegers(map.get('register_value')))
  check(actual.equals(pcr0), 'ERR_EIF_SIGNATURE_INVALID', 'the signature is for another image', {
    details: {
      pcr: 0,
      expected: actual.toString('hex'),
      actual: Buffer.from(pcr0).toString('hex'),
    },
  })
}

function algorithmOf(key: KeyObject): EcdsaAlgorithm | undefined {
  const curve = key.asymmetricKeyDetails?.namedCurve
  return ALGORITHMS.find((algorithm) => algorithm.curve === curve)
}
