// TPM 2.0 attestation structures and the TPM evidence of Cloister documents.

export {
  decodeNvCertify,
  decodeQuote,
  type NvCertifyAttest,
  type QuoteAttest,
  type TpmClock,
} from './attest.ts'
export {
  decodeTpmEvidence,
  TPM_EVIDENCE_LABEL,
  type CertifiedNv,
  type SignedAttest,
  type TpmEvidence,
} from './evidence.ts'
export { computeName, decodeNvPublic, type NvPublic } from './nv-public.ts'
export {
  isNvPcr,
  LOCKED_NV_PCR_ATTRIBUTES,
  NV_PCR_ATTRIBUTES,
  nvIndexOf,
  QUOTED_PCRS,
  unsatisfiablePolicy,
} from './pcr-layout.ts'
export { TpmReader } from './reader.ts'
export { verifyTpmEvidence, type TpmEvidenceContext, type VerifiedTpmEvidence } from './verify.ts'
export type { WebCrypto, WebCryptoSubtle } from '../signature/webcrypto.ts'
export { AttestationError } from '../errors.ts'
