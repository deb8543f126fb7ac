// A second opinion on decisions, written for reading alone: regular expressions for wildcards, one
// loop per rule, over a small world of principals, actions, keys and values.

import fc from 'fast-check'
import type { AccessRequest } from '../../src/policy/index.ts'
import { APP, KEY, OPS, ROOT, STRANGER } from './decision-case.ts'

interface NaiveStatement {
  readonly Effect: 'Allow' | 'Deny'
  readonly Principal?: '*' | { readonly AWS: readonly string[] }
  readonly Action?: readonly string[]
  readonly NotAction?: readonly string[]
  readonly Resource: string
  readonly Condition: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
}

interface NaivePolicy {
  readonly Version: string
  readonly Statement: readonly NaiveStatement[]
}

const texts = ['', 'a', 'b', 'ab', '1', '10']
const OPERATORS = [
  ...['StringEquals', 'StringNotEquals', 'StringLike', 'StringNotLike'],
  ...['StringEqualsIgnoreCase', 'StringEqualsIfExists', 'StringNotLikeIfExists'],
  ...['ForAllValues:StringEquals', 'ForAnyValue:StringEquals', 'ForAnyValue:StringNotLike'],
]
const conditions = fc.oneof(
  fc.dictionary(
    fc.constantFrom(...OPERATORS),
    fc.dictionary(
      fc.constantFrom('k', 'l'),
      fc.uniqueArray(fc.constantFrom(...texts, '*', 'a*', '?b'), { minLength: 1, maxLength: 2 }),
      { minKeys: 1 },
    ),
    { maxKeys: 2 },
  ),
  fc.record({
    Null: fc.dictionary(fc.constantFrom('k', 'l'), fc.constantFrom(['true'], ['false'])),
  }),
)
const actions = fc.uniqueArray(
  fc.constantFrom('kms:Decrypt', 'kms:Encrypt', 'kms:*', 'kms:De*', 'KMS:encrypt'),
  { minLength: 1, maxLength: 2 },
)
const body = fc
  .record({
    Effect: fc.constantFrom('Allow', 'Allow', 'Deny'),
    isNot: fc.boolean(),
    actions,
    Resource: fc.constantFrom('*', '*', KEY, 'arn:aws:kms:*', 'arn:aws:s3:::x'),
    Condition: fc.oneof(fc.constant({}), conditions),
  })
  .map(({ isNot, actions: list, ...rest }) => ({
    ...rest,
    ...(isNot ? { NotAction: list } : { Action: list }),
  }))
const principals = fc.oneof(
  fc.constant('*' as const),
  fc.record({
    AWS: fc.uniqueArray(fc.constantFrom(APP, OPS, ROOT, STRANGER), { minLength: 1, maxLength: 2 }),
  }),
)
const keyStatement = fc
  .tuple(body, principals)
  .map(([fields, Principal]) => ({ ...fields, Principal }))
const policyOf = (statement: fc.Arbitrary<NaiveStatement>): fc.Arbitrary<NaivePolicy> =>
  fc
    .array(statement, { minLength: 1, maxLength: 3 })
    .map((Statement) => ({ Version: '2012-10-17', Statement }))

/** Small policies, and requests that often meet them. */
export const randomAccess = fc.record({
  key: fc.option(policyOf(keyStatement), { freq: 8 }),
  identity: fc.array(policyOf(body as fc.Arbitrary<NaiveStatement>), { maxLength: 1 }),
  request: fc.record<AccessRequest>({
    principal: fc.constantFrom(APP, APP, OPS, ROOT, STRANGER),
    action: fc.constantFrom('kms:Decrypt', 'kms:Encrypt'),
    resource: fc.constant(KEY),
    context: fc.dictionary(
      fc.constantFrom('k', 'l'),
      fc.oneof(fc.constantFrom(...texts), fc.array(fc.constantFrom(...texts), { maxLength: 2 })),
    ),
  }),
})

export function naiveDecision(
  request: AccessRequest,
  key: NaivePolicy | null,
  identity: readonly NaivePolicy[],
  account: string,
): boolean {
  let [byAccount, byName, byIdentity] = [false, false, false]
  const ownAccount = request.principal.split(':')[4] === account
  for (const statement of identity.flatMap((one) => one.Statement)) {
    if (!meets(statement, request)) continue
    if (statement.Effect === 'Deny') return false
    byIdentity = true
  }
  for (const statement of key?.Statement ?? []) {
    const names = statement.Principal === '*' ? ['*'] : (statement.Principal?.AWS ?? [])
    const named = names.includes('*') || names.includes(request.principal)
    const throughAccount = names.includes(ROOT) && ownAccount
    if (!(named || throughAccount) || !meets(statement, request)) continue
    if (statement.Effect === 'Deny') return false
    if (named) byName = true
    else byAccount = true
  }
  if (key === null) return (byIdentity && ownAccount) || request.principal === ROOT
  if (!ownAccount) return byName && byIdentity
  return byName || (byAccount && byIdentity)
}

function meets(statement: NaiveStatement, { action, resource, context }: AccessRequest): boolean {
  const covered = (list: readonly string[]): boolean =>
    list.some((one) => like(action.toLowerCase(), one.toLowerCase()))
  if (statement.Action && !covered(statement.Action)) return false
  if (statement.NotAction && covered(statement.NotAction)) return false
  if (!like(resource, statement.Resource)) return false
  for (const [operator, keys] of Object.entries(statement.Condition)) {
    for (const [key, values] of Object.entries(keys)) {
      const value = context[key]
      const actual = typeof value === 'string' ? [value] : (value ?? [])
      if (!condition(operator, actual, values)) return false
    }
  }
  return true
}

function condition(name: string, actual: readonly string[], values: readonly string[]): boolean {
  if (name === 'Null') return values[0] === String(actual.length === 0)
  if (name.endsWith('IfExists') && actual.length === 0) return true
  const operator = name.replace('IfExists', '').replace(/^.*:/, '')
  const test = (one: string): boolean => {
    const some = values.some((value) => {
      if (operator.endsWith('IgnoreCase')) return one.toLowerCase() === value.toLowerCase()
      return operator.endsWith('Like') ? like(one, value) : one === value
    })
    return operator.includes('Not') ? !some : some
  }
  if (name.startsWith('ForAllValues:')) return actual.every(test)
  if (name.startsWith('ForAnyValue:')) return actual.some(test)
  return operator.includes('Not') ? actual.every(test) : actual.some(test)
}

function like(text: string, pattern: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 's').test(text)
}
