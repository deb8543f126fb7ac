// Asks the policies about an action, says no in AWS's words, and keeps the decision for the audit log.

import {
  decide,
  parseKeyPolicy,
  type Decision,
  type RequestContext,
} from '@cloister/attestation/policy'
import type { Principal } from '../auth/credentials-file.ts'
import { KmsError } from '../kms-error.ts'
import type { AuditEntry } from '../store/audit-log.ts'

/** One question to the policies. */
export interface AccessQuestion {
  /** E.g. `kms:Decrypt`. */
  readonly action: string
  /** The ARN of the key or alias, or `*`. */
  readonly resource: string
  /** JSON; null where only the policies of the principal count. */
  readonly keyPolicy: string | null
  readonly context: RequestContext
}

export type AuditDecision = AuditEntry['decisions'][number]

/** Decides for a principal of this account or another. */
export function decideAccess(
  principal: Principal,
  account: string,
  { action, resource, keyPolicy, context }: AccessQuestion,
): Decision {
  return decide(
    { principal: principal.arn, action, resource, context },
    {
      key: keyPolicy === null ? null : parseKeyPolicy(JSON.parse(keyPolicy)),
      identity: principal.policies,
      account,
    },
  )
}

/** The decision in the form of the audit log. */
export function auditDecision(action: string, decision: Decision): AuditDecision {
  const { allowed, reason, decidedBy } = decision
  const statement = decidedBy && `${decidedBy.policy}: ${decidedBy.statement}`
  return { action, allowed, reason, statement }
}

/** AWS's words about an action that is not allowed. */
export function accessDenied(
  principal: Principal,
  { action, resource, keyPolicy }: AccessQuestion,
  { reason, decidedBy }: Decision,
): KmsError {
  const policy = (isKey: boolean): string => (isKey ? 'resource-based' : 'identity-based')
  const why =
    reason === 'explicit-deny'
      ? `with an explicit deny in ${an(policy(decidedBy?.policy === 'key'))} policy`
      : `because no ${policy(keyPolicy !== null)} policy allows the ${action} action`
  const message = `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource} ${why}`
  return new KmsError('AccessDeniedException', message)
}

function an(word: string): string {
  return /^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`
}
