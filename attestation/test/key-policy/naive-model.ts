// A second opinion on decisions, written for reading alone: one loop per rule, over a small world of principals, actions,
// keys and values.

import type { AccessRequest } from '../../src/policy/index.ts'
import { ACCOUNT, ROLE, ROOT, SESSION } from './decision-case.ts'
import { conditionHolds, expand, like } from './naive-conditions.ts'
import type { Names, NaiveGrant, NaivePolicy, NaiveStatement } from './random-access.ts'

interface NaiveWorld {
  readonly key: NaivePolicy | null
  readonly identity: readonly NaivePolicy[]
  readonly grants: readonly NaiveGrant[]
}

export function naiveDecision(
  request: AccessRequest,
  { key, identity, grants }: NaiveWorld,
): boolean {
  const { principal } = request
  let [byAccount, byName, byIdentity] = [false, false, false]
  const isOwn = principal.split(':')[4] === ACCOUNT
  for (const { Version, Statement } of identity) {
    for (const statement of Statement) {
      if (!meets(statement, request, Version)) continue
      if (statement.Effect === 'Deny') return false
      byIdentity = true
    }
  }
  for (const statement of key?.Statement ?? []) {
    const how = isAbout(statement, principal)
    if (how === 'nobody' || !meets(statement, request, key?.Version ?? '')) continue
    if (statement.Effect === 'Deny') return false
    if (how === 'principal') byName = true
    else byAccount = true
  }
  if (key === null) return (byIdentity && isOwn) || principal === ROOT
  if (byName && isOwn) return true
  if ((byName || byAccount) && byIdentity) return true
  return grants.some((grant) => {
    if (!meetsGrant(grant, request)) return false
    return isNamed([grant.GranteePrincipal], principal) || byIdentity
  })
}

type How = 'principal' | 'account' | 'nobody'

function isAbout({ Principal, NotPrincipal, Effect }: NaiveStatement, arn: string): How {
  if (Principal !== undefined) {
    if (isNamed(namesOf(Principal), arn)) return 'principal'
    return namesOf(Principal).includes(accountOf(arn)) ? 'account' : 'nobody'
  }
  const names = namesOf(NotPrincipal ?? '*')
  const isSpared =
    Effect === 'Allow'
      ? isNamed(names, arn) || names.includes(accountOf(arn))
      : names.includes('*') || chainOf(arn).every((one) => names.includes(one))
  return isSpared ? 'nobody' : 'principal'
}

/** All that AWS looks at, one after the other. */
function chainOf(arn: string): readonly string[] {
  return [accountOf(arn), ...(arn === SESSION ? [ROLE] : []), arn]
}

function accountOf(arn: string): string {
  return `arn:aws:iam::${arn.split(':')[4] ?? ''}:root`
}

function namesOf(names: Names): readonly string[] {
  return names === '*' ? ['*'] : names.AWS
}

function isNamed(names: readonly string[], arn: string): boolean {
  return names.includes('*') || names.includes(arn) || (arn === SESSION && names.includes(ROLE))
}

function meetsGrant(
  { GranteePrincipal, Operations, Constraints }: NaiveGrant,
  { principal, action, context }: AccessRequest,
): boolean {
  const named = isNamed([GranteePrincipal], principal) || GranteePrincipal === accountOf(principal)
  if (!named || !Operations.includes(action.slice('kms:'.length))) return false
  const names = [context['kms:EncryptionContextKeys'] ?? []].flat()
  for (const [name, wanted] of Object.entries(Constraints)) {
    for (const [key, value] of Object.entries(wanted)) {
      if (context[`kms:EncryptionContext:${key}`] !== value) return false
    }
    if (name.endsWith('Equals') && names.length !== Object.keys(wanted).length) return false
  }
  return true
}

function meets(
  { Effect: effect, ...statement }: NaiveStatement,
  { action, resource, context }: AccessRequest,
  version: string,
): boolean {
  const given = { context, version, effect }
  const covered = (list: readonly string[]): boolean =>
    list.some((one) => like(action.toLowerCase(), [{ text: one.toLowerCase(), isLiteral: false }]))
  if (statement.Action && !covered(statement.Action)) return false
  if (statement.NotAction && covered(statement.NotAction)) return false
  const patterns = [...(statement.Resource ?? []), ...(statement.NotResource ?? [])].map((one) =>
    expand(one, given),
  )
  const isResource = patterns.some((one) => one !== null && like(resource, one))
  if (statement.Resource && !isResource) return false
  if (statement.NotResource && (isResource || patterns.includes(null))) return false
  return Object.entries(statement.Condition).every(([operator, keys]) =>
    Object.entries(keys).every((condition) => conditionHolds(operator, condition, given)),
  )
}
