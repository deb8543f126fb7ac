// Refuses keys whose policy anyone can extend or bypass, that open without a document, or whose material is not in KMS
// alone. On AWS, the account's owner can still have AWS's support replace a policy.

import {
  DescribeKeyCommand,
  GetKeyPolicyCommand,
  ListGrantsCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import {
  AttestationError,
  findPolicyWarnings,
  parseKeyPolicy,
  type PolicyDocument,
} from '@cloister/attestation/policy'
import { KmsClientError } from './errors.ts'

/** Made in KMS, which gives it to nobody. */
const ORIGINS: readonly unknown[] = ['AWS_KMS', 'AWS_CLOUDHSM']

/**
 * Reads where the key's material is from, its policy, and its grants where no Deny covers them (kms:DescribeKey,
 * kms:GetKeyPolicy, kms:ListGrants).
 * @throws KmsClientError ERR_KMS_CLIENT_POLICY_NOT_LOCKED; what the SDK throws.
 */
export async function requireLockedPolicy(client: KMSClient, KeyId: string): Promise<void> {
  await requireOwnMaterial(client, KeyId)
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

/** Who imported material has it, whatever the policy says; a replica in another region has a policy of its own. */
async function requireOwnMaterial(client: KMSClient, KeyId: string): Promise<void> {
  const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }))
  if (!ORIGINS.includes(KeyMetadata?.Origin))
    throw notLocked(`its material was not made in KMS: Origin is ${String(KeyMetadata?.Origin)}`)
  if (KeyMetadata?.MultiRegion !== false) throw notLocked('it is a multi-region key')
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
  const message = `the key is not locked: ${reason}`
  return new KmsClientError('ERR_KMS_CLIENT_POLICY_NOT_LOCKED', message)
}
