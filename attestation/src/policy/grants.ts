// Grants: what lets a principal use a key beside the policies. A grant has no condition on documents: only an
// explicit Deny in a policy holds it back. Its constraints are about the encryption context, for operations that
// take one.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/grants.html

import { check } from '../errors.ts'
import type { CheckedCondition, RequestContext } from './key-conditions.ts'
import { matchPrincipal, parsePrincipals, type PrincipalMatch } from './principals.ts'

/** Names and values of an encryption context, whose case counts. */
export type GrantContext = Readonly<Record<string, string>>

/** A grant on a key. */
export interface Grant {
  readonly id: string
  /** The ARN of a user, a role, a session or an account. */
  readonly grantee: string
  /** Without `kms:`, e.g. `Decrypt`. */
  readonly operations: readonly string[]
  /** The request's encryption context must be this; null when it does not matter. */
  readonly contextEquals: GrantContext | null
  /** The request's encryption context must have these. */
  readonly contextSubset: GrantContext | null
  /** The request must be made on behalf of this resource, by `aws:SourceArn`. */
  readonly sourceArn?: string
}

/** What one grant contributes to a decision. */
export interface GrantMatch {
  readonly principal: PrincipalMatch
  readonly action: boolean
  readonly constraints: readonly CheckedCondition[]
}

const CODE = 'ERR_KEY_POLICY_FORMAT'
const WITH_CONTEXT = [
  ...['Decrypt', 'Encrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext'],
  ...['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext', 'ReEncryptFrom', 'ReEncryptTo'],
]
/** What a grant can allow. */
const GRANT_OPERATIONS: readonly string[] = [
  ...WITH_CONTEXT,
  ...['Sign', 'Verify', 'GetPublicKey', 'GenerateMac', 'VerifyMac', 'DeriveSharedSecret'],
  ...['Encapsulate', 'Decapsulate', 'CreateGrant', 'RetireGrant', 'DescribeKey'],
]
const CONSTRAINTS = ['EncryptionContextEquals', 'EncryptionContextSubset', 'SourceArn']
const CONTEXT_KEY = 'kms:encryptioncontext:'

/**
 * Reads what `aws kms list-grants` prints: the answer, or its list.
 * @throws AttestationError ERR_KEY_POLICY_FORMAT.
 */
export function parseGrants(value: unknown): readonly Grant[] {
  const list = Array.isArray(value) ? value : fieldsOf(value, 'the grants')['Grants']
  check(Array.isArray(list), CODE, 'the grants are not a list')
  return list.map(parseGrant)
}

/** How a grant matches a request. */
export function matchGrant(grant: Grant, { principal, action, context }: GrantRequest): GrantMatch {
  const name = action.replace(/^kms:/i, '').toLowerCase()
  const isWithContext = WITH_CONTEXT.some((one) => one.toLowerCase() === name)
  return {
    principal: matchPrincipal(principal, parsePrincipals({ AWS: grant.grantee }, grant.id)),
    action: grant.operations.some((one) => one.toLowerCase() === name),
    constraints: [
      ...(isWithContext ? constraintsOf(grant, encryptionContextOf(context)) : []),
      ...sourceConstraintOf(grant, context),
    ],
  }
}

interface GrantRequest {
  readonly principal: string
  readonly action: string
  readonly context: RequestContext
}

/** The names keep the case that the request has, in `kms:EncryptionContextKeys`. */
function encryptionContextOf(context: RequestContext): GrantContext {
  const entries = Object.entries(context)
  const names = entries.find(([key]) => key.toLowerCase() === 'kms:encryptioncontextkeys')?.[1]
  const valueOf = (name: string): string => {
    // With the prefix, since the lower case of a sigma depends on what is before it.
    const key = `${CONTEXT_KEY}${name}`.toLowerCase()
    return String(entries.find(([one]) => one.toLowerCase() === key)?.[1] ?? '')
  }
  return Object.fromEntries([names ?? []].flat().map((name) => [name, valueOf(name)] as const))
}

function constraintsOf(
  { contextEquals, contextSubset }: Grant,
  actual: GrantContext,
): readonly CheckedCondition[] {
  const checked: CheckedCondition[] = []
  const count = Object.keys(actual).length
  if (contextEquals !== null) {
    const holds = isSubset(contextEquals, actual) && Object.keys(contextEquals).length === count
    checked.push(constraint('EncryptionContextEquals', { expected: contextEquals, actual, holds }))
  }
  if (contextSubset !== null) {
    const holds = isSubset(contextSubset, actual)
    checked.push(constraint('EncryptionContextSubset', { expected: contextSubset, actual, holds }))
  }
  return checked
}

function sourceConstraintOf(
  { sourceArn }: Grant,
  context: RequestContext,
): readonly CheckedCondition[] {
  if (sourceArn === undefined) return []
  const entry = Object.entries(context).find(([key]) => key.toLowerCase() === 'aws:sourcearn')
  const actual = entry?.[1] ?? null
  const holds = actual === sourceArn
  return [{ operator: 'SourceArn', key: 'aws:SourceArn', values: [sourceArn], actual, holds }]
}

function isSubset(part: GrantContext, whole: GrantContext): boolean {
  return Object.entries(part).every(
    ([name, value]) => Object.hasOwn(whole, name) && whole[name] === value,
  )
}

function constraint(
  operator: string,
  {
    expected,
    actual,
    holds,
  }: { readonly expected: GrantContext; readonly actual: GrantContext; readonly holds: boolean },
): CheckedCondition {
  const values = [JSON.stringify(expected)]
  return { operator, key: 'kms:EncryptionContext', values, actual: JSON.stringify(actual), holds }
}

function parseGrant(value: unknown, index: number): Grant {
  const where = `grant ${index + 1}`
  const fields = fieldsOf(value, where)
  const { GrantId: id, GranteePrincipal: grantee, Operations: operations } = fields
  check(typeof id === 'string' && id !== '', CODE, `${where} has no GrantId`)
  check(typeof grantee === 'string', CODE, `${where} has no GranteePrincipal`)
  parsePrincipals({ AWS: grantee }, where)
  const isList = Array.isArray(operations) && operations.length > 0
  check(isList, CODE, `${where} has no Operations`)
  for (const one of operations as readonly unknown[]) {
    const isKnown = GRANT_OPERATIONS.includes(one as string)
    check(isKnown, CODE, `${where}: ${String(one)} is not an operation of grants`)
  }
  const constraints = fieldsOf(fields['Constraints'] ?? {}, `${where}: Constraints`)
  const unknown = Object.keys(constraints).find((name) => !CONSTRAINTS.includes(name))
  check(unknown === undefined, CODE, `${where}: unknown constraint ${String(unknown)}`)
  const sourceArn = constraints['SourceArn']
  const isText = sourceArn === undefined || typeof sourceArn === 'string'
  check(isText, CODE, `${where}: SourceArn is not text`)
  return {
    ...{ id, grantee, operations: operations as readonly string[] },
    contextEquals: contextOf(constraints['EncryptionContextEquals'], where),
    contextSubset: contextOf(constraints['EncryptionContextSubset'], where),
    ...(sourceArn === undefined ? {} : { sourceArn }),
  }
}

function contextOf(value: unknown, where: string): GrantContext | null {
  if (value === undefined || value === null) return null
  const context = fieldsOf(value, `${where}: an encryption context`)
  const areTexts = Object.values(context).every((one) => typeof one === 'string')
  check(areTexts, CODE, `${where}: a value of an encryption context is not text`)
  return context as GrantContext
}

function fieldsOf(value: unknown, where: string): Readonly<Record<string, unknown>> {
  const right = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(right, CODE, `${where}: not an object`)
  return value as Readonly<Record<string, unknown>>
}
