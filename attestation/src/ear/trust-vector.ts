// AR4SI trustworthiness vectors (draft-ietf-rats-ar4si section 2.3): how a verified document, or a
// refusal, reads to a relying party that knows nothing of Nitro. No claim is made about aspects that
// a document says nothing about: file system, runtime and storage confidentiality, sourced data.

import type { Assurance } from '../assurance.ts'
import type { Attestation } from '../attestation.ts'
import type { AttestationErrorCode } from '../error-table.ts'

/** The aspects that a document covers. */
export type TrustAspect = 'instance-identity' | 'configuration' | 'executables' | 'hardware'

/** AR4SI claims: 0 none, 2 to 31 affirming, 32 to 95 warning, 96 to 127 contraindicated. */
export type TrustVector = Readonly<Partial<Record<TrustAspect, number>>>

/** AR4SI tiers. */
export type TrustTier = 'none' | 'affirming' | 'warning' | 'contraindicated'

const NONE = 0
const AFFIRMING = 2
const WARNING = 32
const CONTRAINDICATED = 96
/** The cryptographic validation of the evidence failed. */
const VALIDATION_FAILED = 99
const ASPECTS: readonly TrustAspect[] = [
  'instance-identity',
  'configuration',
  'executables',
  'hardware',
]

const HARDWARE: Readonly<Record<Assurance, number>> = {
  'aws-nitro': AFFIRMING,
  'hardware-tpm': AFFIRMING,
  'software-tpm': WARNING,
  unknown: NONE,
}

/**
 * The vector of a verified document: a known chain; not in debug mode; executables only when PCR0
 * was compared with accepted measurements; hardware by assurance.
 */
export function trustVectorOf({ debug, matchedPcrs, assurance, kind }: Attestation): TrustVector {
  const measured = kind === 'nitro-enclave' ? matchedPcrs.includes(0) : matchedPcrs.length > 0
  return {
    'instance-identity': AFFIRMING,
    configuration: debug ? CONTRAINDICATED : AFFIRMING,
    executables: measured && !debug ? AFFIRMING : NONE,
    hardware: HARDWARE[assurance],
  }
}

/** The vector of a refusal: the one aspect that the code is about. */
export function trustVectorOfRefusal(code: AttestationErrorCode): TrustVector {
  if (code === 'ERR_PCR_MISMATCH' || code === 'ERR_PCR_MISSING') {
    return { executables: CONTRAINDICATED }
  }
  if (code === 'ERR_DEBUG_DOCUMENT') return { configuration: CONTRAINDICATED }
  if (code === 'ERR_ASSURANCE') return { hardware: CONTRAINDICATED }
  return { 'instance-identity': VALIDATION_FAILED }
}

/** The tier of the whole: the worst claim, and affirming only when every aspect is. */
export function tierOf(vector: TrustVector): TrustTier {
  const claims = ASPECTS.map((aspect) => vector[aspect] ?? NONE)
  const worst = Math.max(...claims)
  if (worst >= CONTRAINDICATED) return 'contraindicated'
  if (worst >= WARNING) return 'warning'
  return claims.every((claim) => claim >= AFFIRMING) ? 'affirming' : 'none'
}
