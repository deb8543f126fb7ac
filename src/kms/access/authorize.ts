// Asks the policies about an action, says no in AWS's words, and keeps the decision for the audit log.

import {
  accountOf,
  decide,
  parseKeyPolicy,
  ruleOnDocument,
  type Decision,
  type Grant,
  type PolicyDocument,
  type RequestContext,
} from '@cloister/attestation/policy'
import type { Principal } from '../auth/credentials-file.ts'
import { KmsError } from '../kms-error.ts'
import type { AuditEntry } from '../store/audit-log.ts'
import { Recent } from '../store/recent.ts'

/** One question to the policies. */
export interface AccessQuestion {
  /** E.g. `kms:Decrypt`. */
  readonly action: string
  /** The ARN of the key or alias, or `*`. */
  readonly resource: string
  /** JSON; null where only the policies of the principal count. */
  readonly keyPolicy: string | null
  readonly context: RequestContext
  /** On the key; asked for when the policies do not decide. */
  readonly grants?: () => readonly Grant[]
}

/** What every decision of a broker depends on. */
export interface Domain {
  readonly account: string
  /** SHA-256 of each root that the broker trusts. */
  readonly roots: readonly string[]
}

/** A decision, and why a document did not count for it; null when it did, or there was none. */
export interface AccessDecision extends Decision {
  /** Whether a principal of another account asked for something of this one that is not a key. */
  readonly isForeign: boolean
  readonly ignored: string | null
}

export type AuditDecision = AuditEntry['decisions'][number]

/** Decides for a principal of this account or another. */
export function decideAccess(
  { arn: principal, policies: identity }: Principal,
  { account, roots }: Domain,
  { action, resource, keyPolicy, grants, ...question }: AccessQuestion,
): AccessDecision {
  const key = keyPolicy === null ? null : parsed(keyPolicy)
  const { context, ignored } = ruleOnDocument(question.context, { key, identity }, roots)
  const request = { principal, action, resource, context }
  const own = accountOf(principal)
  const policies = { key, identity, account: ACCOUNTLESS.includes(action) ? own : account }
  const more = { ignored, isForeign: key === null && own !== policies.account }
  const decision = decide(request, policies)
  if (decision.reason !== 'no-allow' || grants === undefined) return { ...decision, ...more }
  return { ...decide(request, { ...policies, grants: grants() }), ...more }
}

/** What is about nothing of any account, so that the principal's own decides. */
const ACCOUNTLESS = ['kms:GenerateRandom']

/** As large as its text, about four times. */
const policies = new Recent<PolicyDocument>(
  () => 0,
  (_, text) => 4 * text.length,
)

/** A policy by its text, which is parsed once. */
function parsed(text: string): PolicyDocument {
  return policies.get(text, () => parseKeyPolicy(JSON.parse(text)))
}

/** The decision in the form of the audit log. */
export function auditDecision(action: string, decision: AccessDecision): AuditDecision {
  const { allowed, reason, decidedBy, ignored } = decision
  const statement = decidedBy && `${decidedBy.policy}: ${decidedBy.statement}`
  return { action, allowed, reason, statement, ...(ignored === null ? {} : { ignored }) }
}

/** AWS's words about an action that is not allowed. */
export function accessDenied(
  principal: Principal,
  { action, resource, keyPolicy }: AccessQuestion,
  { reason, decidedBy, ignored, isForeign }: AccessDecision,
): KmsError {
  const policy = (isKey: boolean): string => (isKey ? 'resource-based' : 'identity-based')
  const missing = isForeign
    ? "because the principal is of another account than the broker's"
    : `because no ${policy(keyPolicy !== null)} policy allows the ${action} action`
  const why =
    reason === 'explicit-deny'
      ? `with an explicit deny in ${an(policy(decidedBy?.policy === 'key'))} policy`
      : missing
  const message = `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource} ${why}${ignored === null ? '' : `; ${ignored}`}`
  return new KmsError('AccessDeniedException', message)
}

function an(word: string): string {
  return /^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`
}
