// Refuses keys whose policy anyone can extend or bypass, or that open without a document. On AWS, the
// account's owner can still have AWS's support replace a policy.

import { GetKeyPolicyCommand, ListGrantsCommand, type KMSClient } from '@aws-sdk/client-kms'
import {
  AttestationError,
  findPolicyWarnings,
  parseKeyPolicy,
  type PolicyDocument,
} from '@cloister/attestation/policy'
import { KmsClientError } from './errors.ts'

/**
 * Reads the key's policy, and its grants where no Deny covers them (kms:GetKeyPolicy, kms:ListGrants).
 * @throws KmsClientError ERR_KMS_CLIENT_POLICY_NOT_LOCKED; what the SDK throws.
 */
export async function requireLockedPolicy(client: KMSClient, KeyId: string): Promise<void> {
  const { Policy = '' } = await client.send(
    new GetKeyPolicyCommand({ KeyId, PolicyName: 'default' }),
  )
  const policy = parse(Policy)
  const warnings = findPolicyWarnings(policy)
  const weakness = warnings.find(({ code }) => code !== 'no-deny-when-absent')
  if (weakness) throw notLocked(`${weakness.statement ?? 'the policy'}: ${weakness.message}`)
  if (warnings.length === 0) return
  const { Grants, Truncated } = await client.send(new ListGrantsCommand({ KeyId }))
  if (Grants?.length !== 0 || Truncated === true)
    throw notLocked('the key has grants, and no Deny covers what they allow')
}

function parse(text: string): PolicyDocument {
  try {
    return parseKeyPolicy(JSON.parse(text))
  } catch (error) {
    if (error instanceof AttestationError || error instanceof SyntaxError)
      throw notLocked(error.message)
    throw error
  }
}

function notLocked(reason: string): KmsClientError {
  const message = `the key's policy is not locked: ${reason}`
  return new KmsClientError('ERR_KMS_CLIENT_POLICY_NOT_LOCKED', message)
}
