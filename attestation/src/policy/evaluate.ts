// The decision about a request on a key, by AWS's evaluation logic: an explicit Deny in any policy
// wins; else something must allow. A statement of the key policy that names an account does not allow
// by itself: it lets the policies of the account's identities decide. Another account's identity needs
// both policies. A grant on the key allows beside them. Left out: permission boundaries, session and
// organisation policies.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
// @see https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html

import { matchGrant, type Grant } from './grants.ts'
import {
  checkCondition,
  patternIn,
  scopeOf,
  type CheckedCondition,
  type Condition,
  type ConditionScope,
  type RequestContext,
} from './key-conditions.ts'
import type { Matcher, PolicyDocument, Statement } from './key-policy.ts'
import { isLike, patternOf } from './pattern.ts'
import {
  accountOf,
  isExempt,
  isRootUser,
  matchPrincipal,
  type PrincipalMatch,
} from './principals.ts'

/** One request, as policies see it. */
export interface AccessRequest {
  /** The ARN of who asks, e.g. `arn:aws:iam::111122223333:user/app`. */
  readonly principal: string
  /** E.g. `kms:Decrypt`. */
  readonly action: string
  /** The key's ARN, or `*` for actions that have no key. */
  readonly resource: string
  readonly context: RequestContext
}

/** The policies that count for a request. */
export interface AccessPolicies {
  /** Null for actions that have no key. */
  readonly key: PolicyDocument | null
  /** Of the principal's identity. */
  readonly identity: readonly PolicyDocument[]
  /** The account that the key belongs to; of an action without a key, what the action is about. */
  readonly account: string
  /** On the key. */
  readonly grants?: readonly Grant[]
}

/** What one statement contributes, part by part. */
export interface StatementReport {
  /** `key`, or `identity 1` and so on, and the statement's name; or `grant` and its id. */
  readonly policy: string
  readonly statement: string
  readonly effect: 'Allow' | 'Deny'
  readonly principal: boolean
  readonly action: boolean
  readonly resource: boolean
  /** Checked when they are read; a decision itself checks those of statements that match otherwise. */
  readonly conditions: readonly CheckedCondition[]
  /** Whether all of these hold. */
  readonly applies: boolean
  /** It applies through the account it names, so that an identity's policy must allow as well. */
  readonly delegates: boolean
}

/** The decision and how it came about. */
export interface Decision {
  readonly allowed: boolean
  readonly reason: 'explicit-deny' | 'allow' | 'no-allow'
  /** The statement that decided; null when none allows. */
  readonly decidedBy: StatementReport | null
  readonly statements: readonly StatementReport[]
}

/** Decides a request. */
export function decide(request: AccessRequest, policies: AccessPolicies): Decision {
  const key = policies.key ? reportsOf('key', policies.key, request) : []
  const identity = policies.identity.flatMap((policy, index) =>
    reportsOf(`identity ${index + 1}`, policy, request),
  )
  const grants = policies.key ? (policies.grants ?? []).map((one) => grantReport(one, request)) : []
  const statements = [...key, ...identity, ...grants]
  const deny = statements.find(({ effect, applies }) => effect === 'Deny' && applies)
  if (deny) return { allowed: false, reason: 'explicit-deny', decidedBy: deny, statements }
  const allow = allowing(request, policies, { key, identity, grants })
  const isRoot = policies.key === null && isOwnRoot(request, policies)
  const allowed = allow !== undefined || isRoot
  return { allowed, reason: allowed ? 'allow' : 'no-allow', decidedBy: allow ?? null, statements }
}

interface Reports {
  readonly key: readonly StatementReport[]
  readonly identity: readonly StatementReport[]
  readonly grants: readonly StatementReport[]
}

function allowing(
  { principal }: AccessRequest,
  { key: policy, account }: AccessPolicies,
  reports: Reports,
): StatementReport | undefined {
  const [byKey, byIdentity] = [allowsOf(reports.key), allowsOf(reports.identity)]
  const isOwn = accountOf(principal) === account
  if (policy === null) return isOwn ? byIdentity[0] : undefined
  const direct = byKey.find(({ delegates }) => !delegates)
  if (direct && isOwn) return direct
  if (byKey.length > 0 && byIdentity[0]) return byIdentity[0]
  return grantingTo(reports.grants, byIdentity)
}

/** A grant to an account leaves the decision to the policies of its identities. */
function grantingTo(
  grants: readonly StatementReport[],
  byIdentity: readonly StatementReport[],
): StatementReport | undefined {
  const granted = allowsOf(grants)
  const direct = granted.find(({ delegates }) => !delegates)
  return direct ?? (granted.length > 0 ? byIdentity[0] : undefined)
}

function grantReport(grant: Grant, request: AccessRequest): StatementReport {
  const { principal, action, constraints } = matchGrant(grant, request)
  const applies = principal !== null && action && constraints.every(({ holds }) => holds)
  return {
    ...{ policy: 'grant', statement: grant.id, effect: 'Allow', principal: principal !== null },
    ...{ action, resource: true, conditions: constraints, applies },
    delegates: applies && principal === 'account',
  }
}

function allowsOf(reports: readonly StatementReport[]): readonly StatementReport[] {
  return reports.filter(({ effect, applies }) => effect === 'Allow' && applies)
}

/** Without a key's policy nothing limits an account's root user. */
function isOwnRoot({ principal }: AccessRequest, { account }: AccessPolicies): boolean {
  return isRootUser(principal) && accountOf(principal) === account
}

function reportsOf(
  policy: string,
  { statements, hasVariables }: PolicyDocument,
  request: AccessRequest,
): readonly StatementReport[] {
  const scope = scopeOf(request.context, hasVariables)
  return statements.map((statement) => {
    const match = principalMatch(statement, request.principal)
    const action = matchesAction(statement.action, request.action)
    const resource = matchesResource(statement.resource, request.resource, scope)
    const { name, effect, conditions } = statement
    const checked = (one: Condition): CheckedCondition => checkCondition(one, scope, effect)
    const matches = match !== null && action && resource
    const applies = matches && conditions.every((one) => checked(one).holds)
    return {
      policy,
      statement: name,
      effect,
      principal: match !== null,
      action,
      resource,
      get conditions() {
        return conditions.map(checked)
      },
      applies,
      delegates: applies && match === 'account',
    }
  })
}

/** A Deny on NotPrincipal spares an identity only when its account is listed too, as in AWS. */
function principalMatch({ principal, effect }: Statement, arn: string): PrincipalMatch {
  if (principal === null) return 'direct'
  const { negated, entries } = principal
  if (!negated) return matchPrincipal(arn, entries)
  const isSpared =
    effect === 'Deny' ? isExempt(arn, entries) : matchPrincipal(arn, entries) !== null
  return isSpared ? null : 'direct'
}

function matchesAction({ negated, entries }: Matcher<string>, action: string): boolean {
  const name = action.toLowerCase()
  return entries.some((one) => isLike(name, patternOf(one.toLowerCase()))) !== negated
}

/** A variable without a value makes the resource match nothing, negated or not. */
function matchesResource(
  { negated, entries }: Matcher<string>,
  resource: string,
  scope: ConditionScope,
): boolean {
  const patterns = entries.map((one) => patternIn(one, scope))
  if (negated && patterns.includes(null)) return false
  return patterns.some((pattern) => pattern !== null && isLike(resource, pattern)) !== negated
}
