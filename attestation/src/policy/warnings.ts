// What in a key policy defeats attestation: ways to use the key without a document of the measured
// code, or to change the rules. Each warning names the statement and says why.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/conditions-attestation.html

import type { Grant } from './grants.ts'
import type { Condition } from './key-conditions.ts'
import type { PolicyDocument, Statement } from './key-policy.ts'
import { isLike, patternOf } from './pattern.ts'
import type { PolicyWarning, PolicyWarningCode } from './policy-warning.ts'
import { findRootWarnings } from './root-warnings.ts'

const PREFIX = 'kms:recipientattestation'
const KEY = /^kms:recipientattestation:(imagesha384|pcr\d+|nitrotpmpcr\d+)$/
/** The operations that can answer to a document and use a key. */
const GATED = [
  'kms:Decrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyPair',
  'kms:DeriveSharedSecret',
]
const REENCRYPT = 'kms:ReEncryptFrom'
const GRANT = 'kms:CreateGrant'
const REPLICATE = 'kms:ReplicateKey'
const MEASUREMENT = /^[0-9a-f]{64}$|^[0-9a-f]{96}$|^[0-9a-f]{128}$/i
/** What tells images apart: an enclave extends PCR16 to PCR31 itself, and PCR3 and PCR4 are its parent's. */
const MEASURING = /^kms:recipientattestation:(imagesha384|pcr[0128]|nitrotpmpcr(\d|1[0-5]))$/
/** Operators of an Allow that hold when the document has one of the values. */
const ONLY = /^(ForAnyValue:)?String(Equals|EqualsIgnoreCase|Like)$/
/** Operators of a Deny that hold unless the document has one of the values. */
const UNLESS = /^(ForAllValues:)?StringNotEquals(IgnoreCase)?(IfExists)?$/

type Weakness = (
  statement: Statement,
  policy: PolicyDocument,
) => readonly (readonly [PolicyWarningCode, string])[]

/**
 * What defeats attestation in a key's policy, in the order of its statements.
 * @param trusted - SHA-256 of the DER of the roots that the KMS trusts, where the policy should suit them.
 */
export function findPolicyWarnings(
  policy: PolicyDocument,
  trusted: readonly string[] = [],
): readonly PolicyWarning[] {
  const found = policy.statements.flatMap((statement) =>
    [...ALLOWS, conditionMistakes].flatMap((weakness) =>
      weakness(statement, policy).map(([code, message]) => ({
        ...{ code, message },
        statement: statement.name,
      })),
    ),
  )
  return [...found, ...wholePolicy(policy), ...findRootWarnings(policy, trusted)]
}

const ALLOWS: readonly Weakness[] = [
  unconditioned,
  allowOf(
    'wildcard-action',
    isWildcard,
    () => 'allows every action, also those that change the rules',
  ),
  allowOf(
    'reencrypt-from',
    (one, policy) => covers(one, REENCRYPT) && !isDenied(policy, REENCRYPT),
    () => 'kms:ReEncryptFrom takes no document: a ciphertext can be re-encrypted under another key',
  ),
  allowOf(
    'create-grant',
    (one, policy) => grantable(one, policy).length > 0,
    (one, policy) =>
      `a grant can allow ${grantable(one, policy).join(', ')} without a document: grants have no such condition`,
  ),
  allowOf(
    'put-key-policy',
    (one, policy) => covers(one, 'kms:PutKeyPolicy') && !isDenied(policy, 'kms:PutKeyPolicy'),
    () => 'who may change the policy may remove its conditions',
  ),
  allowOf(
    'replicate-key',
    (one, policy) => covers(one, REPLICATE) && !isWildcard(one) && !isDenied(policy, REPLICATE),
    () => 'a copy in another region has a policy of its own',
  ),
  allowOf('anyone', isAnyone, () => 'names everyone: limit it with Principal or a condition'),
  allowOf(
    'account-delegation',
    (one, policy) => isAccount(one) && openActions(one, policy).length > 0,
    () =>
      "names an account: the policies of that account's identities decide, which this one does not show",
  ),
]

function allowOf(
  code: PolicyWarningCode,
  test: (statement: Statement, policy: PolicyDocument) => boolean,
  message: (statement: Statement, policy: PolicyDocument) => string,
): Weakness {
  return (statement, policy) =>
    statement.effect === 'Allow' && test(statement, policy)
      ? [[code, message(statement, policy)]]
      : []
}

/** The grants on a key that let their principal do without a document what documents are to gate. */
export function findGrantWarnings(
  policy: PolicyDocument,
  grants: readonly Grant[],
): readonly PolicyWarning[] {
  return grants.flatMap(({ id, grantee, operations }) => {
    const open = ungated(policy).filter((action) => operations.includes(shortOf(action)))
    if (open.length === 0) return []
    const message = `allows ${grantee} ${open.join(', ')} without a document`
    return [{ code: 'grant-without-document', statement: `grant ${id}`, message }]
  })
}

/** What gated operations a grant by this statement can open. */
function grantable(statement: Statement, policy: PolicyDocument): readonly string[] {
  if (!covers(statement, GRANT) || isDenied(policy, GRANT)) return []
  return ungated(policy).filter((action) =>
    statement.conditions.every((one) => mayGrant(one, shortOf(action))),
  )
}

/** What can be done with a document only, unless something allows it that no Deny holds back. */
function ungated(policy: PolicyDocument): readonly string[] {
  return [...GATED, REENCRYPT].filter((action) => !isDenied(policy, action))
}

/** Whether a condition leaves room for a grant of an operation: `kms:GrantOperations` can list those allowed. */
function mayGrant({ operator, key, values }: Condition, operation: string): boolean {
  const isList =
    key.toLowerCase() === 'kms:grantoperations' && operator === 'ForAllValues:StringEquals'
  return !isList || values.includes(operation)
}

function shortOf(action: string): string {
  return action.slice('kms:'.length)
}

/** What a statement allows of the operations that a document gates, and no Deny holds back. */
function openActions(statement: Statement, policy: PolicyDocument): readonly string[] {
  return GATED.filter((action) => covers(statement, action) && !isDenied(policy, action))
}

/** A second Allow without a document is enough to make the first one's condition worthless. */
function unconditioned(
  statement: Statement,
  policy: PolicyDocument,
): readonly (readonly [PolicyWarningCode, string])[] {
  if (statement.effect !== 'Allow' || statement.conditions.some(needsMeasurement)) return []
  const open = openActions(statement, policy)
  if (open.length === 0) return []
  if (statement.conditions.some(needsAnyDocument))
    return [['wildcard-measurement', `allows ${open.join(', ')} with the document of any enclave`]]
  return [['unconditioned-allow', `allows ${open.join(', ')} without a document`]]
}

function conditionMistakes({
  conditions,
  effect,
  principal,
}: Statement): readonly (readonly [PolicyWarningCode, string])[] {
  const found: (readonly [PolicyWarningCode, string])[] = []
  if (principal?.negated === true)
    found.push(['not-principal', 'NotPrincipal includes principals that do not exist yet'])
  for (const one of conditions.filter(isAttestation)) {
    const { key, operator, values } = one
    if (!KEY.test(key.toLowerCase()))
      found.push(['unknown-condition-key', `${key} is never in a request`])
    if (effect === 'Allow' && operator !== 'Null' && isTrueWhenAbsent(operator))
      found.push(['true-when-absent', `${operator} on ${key} also holds without a document`])
    if (operator === 'Null' || isNegated(operator)) continue
    found.push(...values.flatMap((value) => valueMistakes(one, value)))
  }
  return found
}

function valueMistakes(
  { key, operator }: Condition,
  value: string,
): readonly (readonly [PolicyWarningCode, string])[] {
  if (value.includes('${')) return []
  if (operator.includes('Like') && /[*?]/.test(value))
    return [['wildcard-measurement', `${key} accepts every value like ${value}`]]
  if (!MEASUREMENT.test(value)) return [['never-matches', `${value} is not a PCR's value`]]
  if (/^0+$/.test(value)) return [['debug-measurement', `${key} of zeros is a debug enclave's`]]
  if (
    operator.startsWith('StringEquals') &&
    !operator.includes('IgnoreCase') &&
    /[A-F]/.test(value)
  )
    return [['never-matches', `${operator} minds the case, and values are lower-case`]]
  return []
}

function wholePolicy(policy: PolicyDocument): readonly PolicyWarning[] {
  const asks = policy.statements.some(({ conditions }) => conditions.some(isAttestation))
  if (!asks) {
    const message = 'no statement asks for a document'
    return [{ code: 'no-attestation', statement: null, message }]
  }
  const open = GATED.filter((action) => isAllowed(policy, action) && !isDenied(policy, action))
  if (open.length === 0) return []
  const message = `no Deny covers ${open.join(', ')} without the right document: one more Allow, in any policy, opens them`
  return [{ code: 'no-deny-when-absent', statement: null, message }]
}

function isAllowed({ statements }: PolicyDocument, action: string): boolean {
  return statements.some((one) => one.effect === 'Allow' && covers(one, action))
}

/** Whether everyone is denied an action without the right document, on every resource. */
function isDenied({ statements }: PolicyDocument, action: string): boolean {
  return statements.some(
    (one) =>
      one.effect === 'Deny' &&
      covers(one, action) &&
      isAnyone(one) &&
      isEverything(one) &&
      isGuard(one.conditions),
  )
}

/**
 * Whether conditions hold without one of certain measurements. All of a statement's conditions must hold for
 * it to apply: with two, a document that has one of the values and not the other is not denied.
 */
function isGuard([first, ...others]: readonly Condition[]): boolean {
  if (first === undefined) return true
  return others.length === 0 && measures(first) && UNLESS.test(first.operator)
}

/** Whether a condition can only hold with a document of certain images. */
function needsMeasurement(condition: Condition): boolean {
  return measures(condition) && ONLY.test(condition.operator)
}

function needsAnyDocument(condition: Condition): boolean {
  const { operator, values } = condition
  if (!isAttestation(condition)) return false
  if (operator === 'Null') return values.every((value) => value.toLowerCase() === 'false')
  return !isTrueWhenAbsent(operator)
}

/** A variable as a value can be whatever the document says. */
function measures({ key, values }: Condition): boolean {
  return MEASURING.test(key.toLowerCase()) && values.every(isMeasurement)
}

/** Zeros are those of a debug enclave. */
function isMeasurement(value: string): boolean {
  return MEASUREMENT.test(value) && !/^0+$/.test(value)
}

function isTrueWhenAbsent(operator: string): boolean {
  if (operator.endsWith('IfExists') || operator.startsWith('ForAllValues:')) return true
  return isNegated(operator) && !operator.startsWith('ForAnyValue:')
}

function isNegated(operator: string): boolean {
  return /Not/.test(operator)
}

function isAttestation({ key }: Condition): boolean {
  return key.toLowerCase().startsWith(PREFIX)
}

function isWildcard({ action: { negated, entries } }: Statement): boolean {
  return negated || entries.some((one) => one === '*' || one.toLowerCase() === 'kms:*')
}

function isAnyone({ principal }: Statement): boolean {
  return (
    principal !== null &&
    !principal.negated &&
    principal.entries.some(({ kind }) => kind === 'anyone')
  )
}

function isEverything({ resource: { negated, entries } }: Statement): boolean {
  return !negated && entries.includes('*')
}

function isAccount({ principal }: Statement): boolean {
  return principal?.entries.some(({ kind }) => kind === 'account') === true
}

function covers({ action: { negated, entries } }: Statement, action: string): boolean {
  const name = action.toLowerCase()
  return entries.some((one) => isLike(name, patternOf(one.toLowerCase()))) !== negated
}
