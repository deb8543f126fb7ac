// The COSE_Sign1 over PCR0 in a signed image: aws-nitro-enclaves-image-format 0.5.0; RFC 9052 section 4.4
// for what is signed, RFC 9053 section 2.1 for ECDSA. The curve of the key chooses the algorithm.

import { sigStructure } from '@cloister/attestation/cose'
import { isArray, isBytes, isMap } from '@cloister/attestation/cbor'
import { verify, type KeyObject } from 'node:crypto'

import { encodeCbor, type CborInput } from '../cbor.ts'
import { check } from '../errors.ts'
import { bytesOfIntegers, checkFormat, decodeStrictly } from './signature-section.ts'
import { signMessage, type EifSigner } from './signer.ts'
import { signingAlgorithmOf, type SigningAlgorithm } from './signing-algorithm.ts'

const HEADER_ALG = 1
/** r || s, each padded to the length of the curve's order, as COSE wants it. */
const dsaEncoding = 'ieee-p1363'

/** The parts of a COSE_Sign1 over PCR0 that are there before it is signed. */
interface Unsigned {
  readonly protectedHeader: Uint8Array
  readonly payload: Uint8Array
}

/**
 * The message whose ECDSA signature makes an image a signed one: the Sig_structure (RFC 9052 section
 * 4.4) over PCR0 (48 bytes).
 */
export function messageOfPcr0(pcr0: Uint8Array, algorithm: SigningAlgorithm): Uint8Array {
  const { protectedHeader, payload } = unsignedPcr0(pcr0, algorithm)
  return sigStructure(protectedHeader, payload)
}

/**
 * Signs PCR0 (48 bytes); returns an untagged COSE_Sign1.
 * @throws ERR_EIF_SIGNING, and whatever the key's owner throws
 */
export async function signPcr0(pcr0: Uint8Array, signer: EifSigner): Promise<Uint8Array> {
  const { protectedHeader, payload } = unsignedPcr0(pcr0, signer.algorithm)
  const signature = await signMessage(signer, sigStructure(protectedHeader, payload))
  return encodeCbor([protectedHeader, new Map(), payload, signature])
}

function unsignedPcr0(pcr0: Uint8Array, { number }: SigningAlgorithm): Unsigned {
  return {
    protectedHeader: encodeCbor(new Map([[HEADER_ALG, number]])),
    payload: encodeCbor(
      new Map<string, CborInput>([
        ['register_index', 0],
        ['register_value', [...pcr0]],
      ]),
    ),
  }
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
  const algorithm = signingAlgorithmOf(publicKey)
  check(algorithm !== undefined, 'ERR_EIF_SIGNATURE_INVALID', 'the key is not on a NIST curve')
  const header = decodeStrictly(protectedHeader)
  checkFormat(isMap(header) && header.size === 1, 'the protected header has more than alg')
  const isForKey = header.get(HEADER_ALG) === algorithm.number
  check(isForKey, 'ERR_EIF_SIGNATURE_INVALID', 'the algorithm does not match the key')
  const key = { key: publicKey, dsaEncoding } as const
  const isRight = verify(algorithm.hash, sigStructure(protectedHeader, payload), key, signature)
  check(isRight, 'ERR_EIF_SIGNATURE_INVALID', 'the signature does not match the certificate')
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
