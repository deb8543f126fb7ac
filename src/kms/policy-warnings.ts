// What is said about a policy beyond what defeats attestation: what the broker does otherwise than AWS KMS, and what neither
// of them knows.

import {
  findAbsentKeyWarnings,
  findUnknownActionWarnings,
  type PolicyDocument,
  type PolicyWarning,
} from '@cloister/attestation/policy'
import { ACTIONS } from './operations/actions.ts'
import { isKnownKey, NO_VIA_SERVICE, usesViaService } from './access/known-keys.ts'

/** Of a key's policy or a principal's. */
export function brokerWarnings(policy: PolicyDocument): readonly PolicyWarning[] {
  const refused: PolicyWarning = {
    ...{ code: 'absent-condition-key', statement: null },
    message: `kms serve refuses the policy: ${NO_VIA_SERVICE}`,
  }
  return [
    ...(usesViaService(policy) ? [refused] : []),
    ...findAbsentKeyWarnings(policy, isKnownKey),
    ...findUnknownActionWarnings(policy, ACTIONS),
  ]
}
