// An attestation document as a whole: COSE_Sign1, its payload, and the TPM evidence beside it.

import { decodeSign1, type Sign1 } from '../cose/sign1.ts'
import { check } from '../errors.ts'
import { decodeTpmEvidence, TPM_EVIDENCE_LABEL, type TpmEvidence } from '../tpm/evidence.ts'
import { decodePayload, type Payload } from './payload.ts'

/** Longest accepted document: a full payload and the evidence of all PCRs fit. */
const MAX_DOCUMENT_BYTES = 32768

/** A decoded document. Nothing in it is verified; byte strings are views into a private copy. */
export interface DecodedDocument {
  readonly sign1: Sign1
  readonly payload: Payload
  readonly evidence: TpmEvidence | undefined
}

/**
 * Decodes a copy of a document: verification is asynchronous, and the caller must not be able to
 * change the bytes while it runs.
 * @throws AttestationError ERR_DOCUMENT_TOO_LONG, ERR_CBOR_*, ERR_COSE_*, ERR_DOCUMENT_FIELD,
 * ERR_TPM_EVIDENCE_FORMAT; TypeError when the document is not a Uint8Array.
 */
export function decodeDocument(document: Uint8Array): DecodedDocument {
  const sign1 = decodeSign1(privateCopy(document))
  const payload = decodePayload(sign1.payload)
  return { sign1, payload, evidence: readEvidence(sign1) }
}

function privateCopy(document: Uint8Array): Uint8Array {
  if (!(document instanceof Uint8Array)) throw new TypeError('the document is not a Uint8Array')
  const { length } = document
  check(
    length <= MAX_DOCUMENT_BYTES,
    'ERR_DOCUMENT_TOO_LONG',
    `the document has ${length} bytes, at most ${MAX_DOCUMENT_BYTES} are accepted`,
    { length, maxBytes: MAX_DOCUMENT_BYTES },
  )
  return new Uint8Array(document)
}

/** The unprotected header is not signed, so it may hold only what is verified in another way. */
function readEvidence({ unprotectedHeader }: Sign1): TpmEvidence | undefined {
  for (const label of unprotectedHeader.keys()) {
    const known = label === TPM_EVIDENCE_LABEL
    check(known, 'ERR_COSE_HEADER', `unprotected header parameter ${label} is not accepted`, {
      label: String(label),
    })
  }
  const evidence = unprotectedHeader.get(TPM_EVIDENCE_LABEL)
  return evidence === undefined ? undefined : decodeTpmEvidence(evidence)
}
