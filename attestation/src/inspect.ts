// Shows what a document claims. Nothing is verified, and the type says so: an InspectedDocument is
// not assignable to an Attestation.

import { documentFields, type DocumentFields } from './attestation.ts'
import { jsonable, type Jsonable } from './json.ts'
import { decodeDocument } from './document/decode.ts'

/** What a document claims, as plain data. */
export interface InspectedData {
  readonly verified: false
  readonly claims: DocumentFields
  /** DER as the document has it, not parsed: cabundle (root first), then the leaf. */
  readonly claimedChain: readonly Uint8Array[]
  /** Whether TPM evidence is attached. */
  readonly hasTpmEvidence: boolean
}

/**
 * What a document claims, for display only: anyone can write such a document. `JSON.stringify` writes
 * its byte strings as lower-case hexadecimal text.
 */
export interface InspectedDocument extends InspectedData, Jsonable<InspectedData> {}

/**
 * Decodes a document for display, without verifying it.
 * @throws AttestationError when it does not decode; TypeError when it is not a Uint8Array.
 */
export function inspectAttestation(document: Uint8Array): InspectedDocument {
  const { payload, evidence } = decodeDocument(document)
  return jsonable<InspectedData>({
    verified: false,
    claims: documentFields(payload),
    claimedChain: [...payload.cabundle, payload.certificate].map((der) => der.slice()),
    hasTpmEvidence: evidence !== undefined,
  })
}
