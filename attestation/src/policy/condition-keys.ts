// The condition keys that AWS KMS has for attestation documents.

import type { Attestation } from '../attestation.ts'
import type { ConditionContext } from './conditions.ts'

const PREFIX = 'kms:RecipientAttestation:'

/**
 * The condition keys of a verified document: `ImageSha384` (PCR0) and `PCR<n>` of an enclave,
 * `NitroTPMPCR<n>` of an instance, each 96 lower-case hexadecimal digits.
 * @see https://docs.aws.amazon.com/kms/latest/developerguide/conditions-nitro-enclave.html
 */
export function conditionKeys({ kind, pcrs }: Attestation): ConditionContext {
  const name = kind === 'nitro-tpm' ? 'NitroTPMPCR' : 'PCR'
  const keys = Object.entries(pcrs).map(
    ([pcr, value]) => [`${PREFIX}${name}${pcr}`, value] as const,
  )
  const image = kind === 'nitro-enclave' && pcrs[0]
  return Object.fromEntries(image ? [[`${PREFIX}ImageSha384`, image], ...keys] : keys)
}
