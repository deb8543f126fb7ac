// Shows what a document claims. Nothing is verified, and the type says so: an InspectedDocument is
// not assignable to an Attestation.

import { certificateInfo, documentFields, type CertificateInfo } from './attestation.ts'
import type { DocumentFields } from './attestation.ts'
import { decodeDocument } from './document/decode.ts'
import { parseCertificate } from './x509/index.ts'

/** What a document claims, for display only: anybody can write such a document. */
export interface InspectedDocument {
  readonly verified: false
  readonly claims: DocumentFields
  /** As the document has them: cabundle (root first), then the leaf. */
  readonly claimedCertificates: readonly CertificateInfo[]
  /** Whether TPM evidence is attached. */
  readonly hasTpmEvidence: boolean
}

/**
 * Decodes a document for display, without verifying it.
 * @throws AttestationError when it does not decode.
 */
export function inspectAttestation(document: Uint8Array): InspectedDocument {
  const { payload, evidence } = decodeDocument(new Uint8Array(document))
  const certificates = [...payload.cabundle, payload.certificate]
  return {
    verified: false,
    claims: documentFields(payload),
    claimedCertificates: certificates.map((der) => certificateInfo(parseCertificate(der))),
    hasTpmEvidence: evidence !== undefined,
  }
}
