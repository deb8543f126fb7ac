// Results for standard verifiers: EAT Attestation Results (draft-ietf-rats-ear-04) with AR4SI
// trustworthiness vectors, as claims or as a signed JWT.

export {
  EAR_PROFILE,
  earClaims,
  earRefusal,
  type EarAppraisal,
  type EarClaims,
  type EarOptions,
} from './claims.ts'
export { signEar, type EarSigner, type EarSigningKey, type EarSubtle } from './jwt.ts'
export type { TrustAspect, TrustTier, TrustVector } from './trust-vector.ts'
