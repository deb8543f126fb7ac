// The trust argument. A document is believed when, in this order:
// 1. it decodes strictly, with nothing left over;
// 2. its certificates form a valid path from a root that the caller chose, at one stated moment;
// 3. the leaf's key signed exactly the received payload;
// 4. a TPM, where there is evidence of one, vouches for the PCRs in it;
// 5. it is of the kind, age, protection and contents that the caller asked for. A nonce that is known
//    beforehand comes before the age: a document that answers another question is not an old answer.
// Nothing of it leaves this function before that.

import { assuranceOf } from './assurance.ts'
import { attestationOf, type Attestation } from './attestation.ts'
import { leafOf, verifyChain } from './chain.ts'
import { verifySign1 } from './cose/sign1.ts'
import { decodeDocument, type DecodedDocument } from './document/decode.ts'
import { check } from './errors.ts'
import { checkExpectations, checkKnownNonce } from './expectations.ts'
import { checkAge, momentOf } from './moment.ts'
import type { Policy } from './options.ts'
import { verifyTpmEvidence, type VerifiedTpmEvidence } from './tpm/verify.ts'
import type { WebCrypto } from './signature/webcrypto.ts'
import type { CertificatePath } from './x509/index.ts'

/**
 * Verifies a document against a policy.
 * @throws AttestationError; TypeError when the document is not a Uint8Array.
 */
export async function verifyDocument(document: Uint8Array, policy: Policy): Promise<Attestation> {
  const decoded = decodeDocument(document)
  const { sign1, payload } = decoded
  checkKind(decoded, policy)
  const atMs = momentOf(payload.timestampMs, policy)
  const { roots, crypto } = policy
  const path = await verifyChain(payload, { roots, atMs, crypto })
  const { publicKey } = leafOf(path)
  await verifySign1(sign1, publicKey, crypto)
  const tpm = await verifyEvidence(decoded, publicKey, crypto)
  checkTpmPresence(tpm, policy)
  checkKnownNonce(payload, policy)
  checkAge(payload.timestampMs, atMs, policy)
  checkAssurance(path, policy)
  const matchedPcrs = await checkExpectations(payload, policy)
  return attestationOf({ payload, path, atMs, tpm, matchedPcrs })
}

function checkKind({ payload }: DecodedDocument, { kinds }: Policy): void {
  const details = { expected: kinds, actual: payload.kind }
  check(
    kinds.includes(payload.kind),
    'ERR_DOCUMENT_KIND',
    `the document is a ${payload.kind}`,
    details,
  )
}

async function verifyEvidence(
  { sign1, payload, evidence }: DecodedDocument,
  publicKey: Uint8Array,
  crypto: WebCrypto,
): Promise<VerifiedTpmEvidence | null> {
  if (!evidence) return null
  const { moduleId, pcrs } = payload
  return verifyTpmEvidence(evidence, {
    payload: sign1.payload,
    moduleId,
    pcrs,
    publicKey,
    crypto,
  })
}

function checkTpmPresence(tpm: VerifiedTpmEvidence | null, { requireTpmEvidence }: Policy): void {
  const present = tpm !== null || !requireTpmEvidence
  check(present, 'ERR_TPM_EVIDENCE_MISSING', 'the document carries no TPM evidence')
}

function checkAssurance(path: CertificatePath, { assurance: accepted }: Policy): void {
  const actual = assuranceOf(path)
  check(
    accepted.includes(actual),
    'ERR_ASSURANCE',
    `the assurance of the signing key is ${actual}`,
    {
      expected: accepted,
      actual,
    },
  )
}
