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
  openToOtherRoots,
  parseKeyPolicy,
  repeatedKey,
  unguardedActions,
  type PolicyDocument,
} from '@cloister/attestation/policy'
import { KmsClientError } from './errors.ts'

/** Made in KMS, which gives it to nobody. The owner of a CloudHSM cluster can use its keys without KMS. */
const ORIGIN = 'AWS_KMS'

/** What is no way around the measurements: grants are looked at, and a signer may be meant. */
const ACCEPTED = ['no-deny-when-absent', 'signer-measurement']

export interface LockedPolicyOptions {
  /**
   * SHA-256 of the DER of the roots that documents must be issued under, in hexadecimal digits: every statement that
   * opens the key must require one of them. For Cloister's broker only; AWS KMS has no such condition.
   */
  readonly roots?: readonly string[]
}

/**
 * Reads where the key's material is from, its policy, and its grants where no Deny covers them (kms:DescribeKey,
 * kms:GetKeyPolicy, kms:ListGrants).
 * @throws KmsClientError ERR_KMS_CLIENT_POLICY_NOT_LOCKED; what the SDK throws.
 */
export async function requireLockedPolicy(
  client: KMSClient,
  KeyId: string,
  { roots = [] }: LockedPolicyOptions = {},
): Promise<void> {
  const usage = await requireOwnMaterial(client, KeyId)
  const { Policy = '' } = await client.send(
    new GetKeyPolicyCommand({ KeyId, PolicyName: 'default' }),
  )
  const policy = parse(Policy)
  const weakness = findPolicyWarnings(policy).find(({ code }) => !ACCEPTED.includes(code))
  if (weakness) throw notLocked(`${weakness.statement ?? 'the policy'}: ${weakness.message}`)
  const [open] = roots.length === 0 ? [] : openToOtherRoots(policy, lowerCase(roots))
  if (open !== undefined) throw notLocked(`${open}: accepts documents under other roots`)
  if (unguardedActions(policy, usage).length === 0) return
  const { Grants, Truncated } = await client.send(new ListGrantsCommand({ KeyId }))
  if (Grants?.length !== 0 || Truncated === true)
    throw notLocked('the key has grants, and no Deny covers what they allow')
}

/**
 * Who imported material has it, whatever the policy says; a replica in another region has a policy of its own.
 * Returns the key's use.
 */
async function requireOwnMaterial(client: KMSClient, KeyId: string): Promise<string | undefined> {
  const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }))
  if (KeyMetadata?.Origin !== ORIGIN)
    throw notLocked(`its material was not made in KMS: Origin is ${String(KeyMetadata?.Origin)}`)
  if (KeyMetadata.MultiRegion !== false) throw notLocked('it is a multi-region key')
  return KeyMetadata.KeyUsage
}

function parse(text: string): PolicyDocument {
  try {
    const policy = parseKeyPolicy(JSON.parse(text))
    const repeated = repeatedKey(text)
    if (repeated !== undefined) throw notLocked(`the policy has ${repeated} twice`)
    return policy
  } catch (error) {
    if (error instanceof AttestationError || error instanceof SyntaxError)
      throw notLocked(error.message)
    throw error
  }
}

function lowerCase(texts: readonly string[]): readonly string[] {
  return texts.map((one) => one.toLowerCase())
}

function notLocked(reason: string): KmsClientError {
  const message = `the key is not locked: ${reason}`
  return new KmsClientError('ERR_KMS_CLIENT_POLICY_NOT_LOCKED', message)
}
