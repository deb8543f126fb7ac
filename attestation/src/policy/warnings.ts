// What in a key policy defeats attestation: ways to use the key without a document of the measured
// code, or to change the rules. Each warning names the statement and says why.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/conditions-attestation.html

import { isNegated, isTrueWhenAbsent } from './absent-keys.ts'
import type { Grant } from './grants.ts'
import {
  covers,
  isAnyone,
  isDenied,
  OPENING_ACTIONS,
  requiredRegisters,
  unguardedActions,
} from './guards.ts'
import {
  identityOf,
  isPcrValue,
  isUnmeasured,
  registerOf,
  weaknessOf,
  type Registers,
} from './image-identity.ts'
import type { Condition } from './key-conditions.ts'
import type { PolicyDocument, Statement } from './key-policy.ts'
import type { PolicyWarning, PolicyWarningCode } from './policy-warning.ts'
import { findRootWarnings } from './root-warnings.ts'

const PREFIX = 'kms:recipientattestation'
const REENCRYPT = 'kms:ReEncryptFrom'
const GRANT = 'kms:CreateGrant'
const REPLICATE = 'kms:ReplicateKey'
/** ReEncryptFrom has a warning of its own. */
const USING = OPENING_ACTIONS.filter((action) => action !== REENCRYPT)

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
    (one, policy) =>
      isAccount(one) && USING.some((action) => covers(one, action) && !isDenied(policy, action)),
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
    const open = unguardedActions(policy).filter((action) => operations.includes(shortOf(action)))
    if (open.length === 0) return []
    const message = `allows ${grantee} ${open.join(', ')} without a document`
    return [{ code: 'grant-without-document', statement: `grant ${id}`, message }]
  })
}

/** What gated operations a grant by this statement can open. */
function grantable(statement: Statement, policy: PolicyDocument): readonly string[] {
  if (!covers(statement, GRANT) || isDenied(policy, GRANT)) return []
  return unguardedActions(policy).filter((action) =>
    statement.conditions.every((one) => mayGrant(one, shortOf(action))),
  )
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

/** What a statement allows of what opens the key, to requests whose document does not identify the code. */
function openActions(statement: Statement, policy: PolicyDocument): readonly string[] {
  return USING.filter(
    (action) =>
      covers(statement, action) &&
      !isDenied(policy, action) &&
      identityOf(requiredRegisters(statement, policy, action)) === null,
  )
}

/** A second Allow without a document is enough to make the first one's condition worthless. */
function unconditioned(
  statement: Statement,
  policy: PolicyDocument,
): readonly (readonly [PolicyWarningCode, string])[] {
  if (statement.effect !== 'Allow') return []
  const open = openActions(statement, policy)
  const [first] = open
  if (first === undefined) return ofSigner(statement, policy)
  const weakness = weaknessOf(requiredRegisters(statement, policy, first))
  if (weakness !== null)
    return [['weak-measurement', `allows ${open.join(', ')} to more than one image: ${weakness}`]]
  if (statement.conditions.some(needsAnyDocument))
    return [['wildcard-measurement', `allows ${open.join(', ')} with the document of any enclave`]]
  return [['unconditioned-allow', `allows ${open.join(', ')} without a document`]]
}

/** Legitimate, but more than one image. */
function ofSigner(
  statement: Statement,
  policy: PolicyDocument,
): readonly (readonly [PolicyWarningCode, string])[] {
  const identities = USING.filter((action) => covers(statement, action)).map((action) => {
    const registers: Registers = requiredRegisters(statement, policy, action)
    return identityOf(registers)
  })
  if (!identities.includes('signer')) return []
  const message =
    'identifies a signer (PCR8, or NitroTPMPCR7): it accepts every image that is signed with that key, also old ones'
  return [['signer-measurement', message]]
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
    if (registerOf(key) === null)
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
  if (!isPcrValue(value)) return [['never-matches', `${value} is not a PCR's value`]]
  if (isUnmeasured(value, registerOf(key)))
    return [['debug-measurement', `${key} of zeros is a debug enclave's, or of nothing measured`]]
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
  const open = USING.filter((action) => isAllowed(policy, action) && !isDenied(policy, action))
  if (open.length === 0) return []
  const message = `no Deny covers ${open.join(', ')} without the right document: one more Allow, in any policy, opens them`
  return [{ code: 'no-deny-when-absent', statement: null, message }]
}

function isAllowed({ statements }: PolicyDocument, action: string): boolean {
  return statements.some((one) => one.effect === 'Allow' && covers(one, action))
}

function needsAnyDocument(condition: Condition): boolean {
  const { operator, values } = condition
  if (!isAttestation(condition)) return false
  if (operator === 'Null') return values.every((value) => value.toLowerCase() === 'false')
  return !isTrueWhenAbsent(operator)
}

function isAttestation({ key }: Condition): boolean {
  return key.toLowerCase().startsWith(PREFIX)
}

function isWildcard({ action: { negated, entries } }: Statement): boolean {
  return negated || entries.some((one) => one === '*' || one.toLowerCase() === 'kms:*')
}

function isAccount({ principal }: Statement): boolean {
  return principal?.entries.some(({ kind }) => kind === 'account') === true
}
