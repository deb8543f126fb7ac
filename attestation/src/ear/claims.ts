// EAT Attestation Results (draft-ietf-rats-ear-04) in their JSON form: what this verifier found, for
// relying parties that consume results instead of documents.

import { toHex } from '../bytes.ts'
import type { Attestation } from '../attestation.ts'
import type { AttestationError } from '../errors.ts'
import { toBase64Url } from '../base64.ts'
import { tierOf, trustVectorOf, trustVectorOfRefusal } from './trust-vector.ts'
import type { TrustTier, TrustVector } from './trust-vector.ts'

/** The profile that the claims follow. */
export const EAR_PROFILE = 'tag:ietf.org,2026:rats/ear#04'

/** One appraisal, under the name of its attester. */
export interface EarAppraisal {
  readonly ear_status: TrustTier
  readonly ear_trustworthiness_vector: TrustVector
  readonly ear_appraisal_policy_ids?: readonly string[]
  readonly ear_attester_claims?: Readonly<Record<string, unknown>>
  readonly ear_verifier_claims?: Readonly<Record<string, unknown>>
}

/** The claims set of an EAR. Times are seconds since the epoch. */
export interface EarClaims {
  readonly eat_profile: typeof EAR_PROFILE
  readonly iat: number
  readonly exp?: number
  readonly ear_verifier_id: { readonly developer: string; readonly build: string }
  readonly ear_raw_evidence?: string
  readonly submods: Readonly<Record<string, EarAppraisal>>
  readonly eat_nonce?: string
}

/** Who appraised, and under what. */
export interface EarOptions {
  /** The developer (a URI or name) and the build of the service that verifies. */
  readonly verifier: { readonly developer: string; readonly build: string }
  /** Names of the policies that were applied. */
  readonly policyIds?: readonly string[]
  /** The document, to be kept in the result. */
  readonly rawEvidence?: Uint8Array
  /** When the result is issued; now by default. */
  readonly issuedAtMs?: number
  /** How long it may be used; not limited by default, and never beyond the certificates. */
  readonly lifetimeMs?: number
}

/** EAT nonces are texts of 8 to 88 characters, RFC 9711 section 4.1. */
const NONCE_CHARACTERS = { min: 8, max: 88 }
const MS_PER_SECOND = 1000

/** The claims about a verified document. */
export function earClaims(attestation: Attestation, options: EarOptions): EarClaims {
  const vector = trustVectorOf(attestation)
  const nonce = attestation.nonce && toBase64Url(attestation.nonce)
  const { length = 0 } = nonce ?? {}
  const usable = length >= NONCE_CHARACTERS.min && length <= NONCE_CHARACTERS.max
  return {
    ...header(options, attestation.validUntilMs),
    ...(nonce !== null && usable ? { eat_nonce: nonce } : {}),
    submods: {
      [attestation.kind]: appraisal(vector, options, {
        ear_attester_claims: attesterClaims(attestation),
        ear_verifier_claims: {
          assurance: attestation.assurance,
          matched_pcrs: attestation.matchedPcrs,
          tpm_evidence: attestation.tpm !== null,
        },
      }),
    },
  }
}

/** The claims about a document that was refused. Nothing the document says is repeated. */
export function earRefusal(error: AttestationError, options: EarOptions): EarClaims {
  const vector = trustVectorOfRefusal(error.code)
  const found = { ear_verifier_claims: { error: error.code } }
  return {
    ...header(options, Infinity),
    submods: { refused: appraisal(vector, options, found) },
  }
}

function header(options: EarOptions, validUntilMs: number): Omit<EarClaims, 'submods'> {
  const { verifier, rawEvidence, issuedAtMs = Date.now(), lifetimeMs = Infinity } = options
  const expiresMs = Math.min(issuedAtMs + lifetimeMs, validUntilMs)
  return {
    eat_profile: EAR_PROFILE,
    iat: Math.floor(issuedAtMs / MS_PER_SECOND),
    ...(expiresMs === Infinity ? {} : { exp: Math.floor(expiresMs / MS_PER_SECOND) }),
    ear_verifier_id: { developer: verifier.developer, build: verifier.build },
    ...(rawEvidence ? { ear_raw_evidence: toBase64Url(rawEvidence) } : {}),
  }
}

function appraisal(
  vector: TrustVector,
  { policyIds = [] }: EarOptions,
  claims: Pick<EarAppraisal, 'ear_attester_claims' | 'ear_verifier_claims'>,
): EarAppraisal {
  return {
    ear_status: tierOf(vector),
    ear_trustworthiness_vector: vector,
    ...(policyIds.length > 0 ? { ear_appraisal_policy_ids: policyIds } : {}),
    ...claims,
  }
}

function attesterClaims(attestation: Attestation): Readonly<Record<string, unknown>> {
  const { moduleId, timestampMs, pcrs, debug, publicKey, userData } = attestation
  return {
    module_id: moduleId,
    timestamp: timestampMs,
    pcrs,
    debug,
    public_key: publicKey && toHex(publicKey),
    user_data: userData && toHex(userData),
  }
}
