// Attestation documents, byte for byte in AWS's form: an untagged COSE_Sign1 (RFC 9052 section 4.2)
// with ES384 around a CBOR map in AWS's key order. AWS's attestation_process.md section 2.2.

import { sigStructure } from '@cloister/attestation/cose'
import type { Leaf, P384Signer } from '../chip/index.ts'
import { cborMap, encodeCbor, type CborInput } from '../cbor.ts'
import type { AttestationFields } from './protocol.ts'

export interface DocumentContent extends AttestationFields {
  readonly moduleId: string
  readonly timestamp: Date
  /** 48-byte values of the locked PCRs, in ascending order. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>
  readonly leaf: Leaf
}

/** A document's signed parts; the unprotected header is not among them. */
export interface SignedPayload {
  /** CBOR. */
  readonly payload: Uint8Array
  /** `r || s`, 96 bytes. */
  readonly signature: Uint8Array
}

// { 1: -35 }: ES384 (RFC 9053 section 2.1).
const PROTECTED_HEADER = encodeCbor(new Map([[1, -35]]))

/** The CBOR payload of a document; `timestamp` is in milliseconds since the epoch. */
export function encodePayload(content: DocumentContent): Uint8Array {
  return encodeCbor(
    cborMap({
      module_id: content.moduleId,
      digest: 'SHA384',
      timestamp: BigInt(content.timestamp.getTime()),
      pcrs: content.pcrs,
      certificate: content.leaf.certificate,
      cabundle: content.leaf.cabundle,
      public_key: content.publicKey,
      user_data: content.userData,
      nonce: content.nonce,
    }),
  )
}

/** Signs the Sig_structure of RFC 9052 section 4.4. */
export async function signPayload(payload: Uint8Array, signer: P384Signer): Promise<SignedPayload> {
  const toBeSigned = sigStructure(PROTECTED_HEADER, payload)
  const algorithm = { name: 'ECDSA', hash: 'SHA-384' }
  const signature = await signer.subtle.sign(algorithm, signer.privateKey, toBeSigned)
  return { payload, signature: new Uint8Array(signature) }
}

/** The document; `evidence` goes into the unprotected header under the label "tpm". */
export function encodeDocument(signed: SignedPayload, evidence: CborInput | undefined): Uint8Array {
  const unprotected = cborMap(evidence === undefined ? {} : { tpm: evidence })
  return encodeCbor([PROTECTED_HEADER, unprotected, signed.payload, signed.signature])
}
