// What a key policy must be before it is put on a key.

import { AttestationError, parseKeyPolicy, type PolicyDocument } from '@cloister/attestation/policy'
import { CloisterError, messageOf } from '../../errors.ts'
import { NO_VIA_SERVICE, usesViaService } from '../access/known-keys.ts'
import { KmsError, unsupported } from '../kms-error.ts'
import { rootUserArn, type Place } from './key-names.ts'
import { parseStrictJson } from '../strict-json.ts'
import type { Call, KeyFacts } from './call.ts'

/** AWS's bound, in bytes. */
export const MAX_POLICY = 32_768

/** What AWS puts on a key that is made without a policy: the policies of the account's identities decide. */
export function defaultPolicy(place: Place): string {
  const statement = {
    Sid: 'Enable IAM User Permissions',
    Effect: 'Allow',
    Principal: { AWS: rootUserArn(place) },
    Action: 'kms:*',
    Resource: '*',
  }
  const policy = { Version: '2012-10-17', Id: 'key-default-1', Statement: [statement] }
  return JSON.stringify(policy, null, 2)
}

/**
 * Checks a key's new policy, and that who puts it may change it again unless they ask for the contrary.
 * @throws KmsError MalformedPolicyDocumentException, UnsupportedOperationException.
 */
export function checkNewPolicy(call: Call, key: KeyFacts, bypass: boolean): void {
  const policy = parsePolicy(key.policy)
  if (usesViaService(policy)) throw unsupported(NO_VIA_SERVICE)
  if (bypass || call.previewPutKeyPolicy(key).allowed) return
  throw malformed('The new key policy will not allow you to update the key policy in the future.')
}

function parsePolicy(text: string): PolicyDocument {
  if (Buffer.byteLength(text) > MAX_POLICY) throw malformed('the policy has more than 32768 bytes')
  try {
    return parseKeyPolicy(parseStrictJson(Buffer.from(text), 'ERR_KMS_REQUEST', 'the policy'))
  } catch (error) {
    const isOurs = error instanceof AttestationError || error instanceof CloisterError
    if (isOurs) throw malformed(messageOf(error))
    throw error
  }
}

function malformed(message: string): KmsError {
  return new KmsError('MalformedPolicyDocumentException', message)
}
