// Shows what a document claims. Nothing is verified, and the type says so: an InspectedDocument is
// not assignable to an Attestation.

import { documentFields, type DocumentFields } from './attestation.ts'
import { decodeDocument } from './document/decode.ts'

/** What a document claims, for display only: anybody can write such a document. */
export interface InspectedDocument {
  readonly verified: false
  readonly claims: DocumentFields
  /** DER as the document has it, not parsed: cabundle (root first), then the leaf. */
  readonly claimedChain: readonly Uint8Array[]
  /** Whether TPM evidence is attached. */
  readonly hasTpmEvidence: boolean
}

/**
 * Decodes a document for display, without verifying it.
 * @throws AttestationError when it does not decode; TypeError when it is not a Uint8Array.
 */
export function inspectAttestation(document: Uint8Array): InspectedDocument {
  const { payload, evidence } = decodeDocument(document)
  return {
    verified: false,
    claims: documentFields(payload),
    claimedChain: [...payload.cabundle, payload.certificate].map((der) => der.slice()),
    hasTpmEvidence: evidence !== undefined,
  }
}
