// What the Deny statements of a key's policy hold back, whatever another policy or a grant allows.

import { restrictsRoots, UNLESS } from './document-roots.ts'
import { identityOf, measuredRegister, type Registers } from './image-identity.ts'
import type { Condition } from './key-conditions.ts'
import type { PolicyDocument, Statement } from './key-policy.ts'
import { isLike, patternOf } from './pattern.ts'

/** What a document can gate: it yields secrets or signatures of the key. On AWS, Sign takes no document. */
export const DOCUMENT_ACTIONS: readonly string[] = [
  'kms:Decrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyPair',
  'kms:DeriveSharedSecret',
  'kms:Sign',
]
/** What uses the key and takes no document: only a Deny keeps it from others than the image. */
const DOCUMENTLESS: readonly string[] = ['kms:GenerateMac', 'kms:Decapsulate', 'kms:ReEncryptFrom']
/** What yields secrets, signatures or MACs of the key, or takes its ciphertexts to another key. */
export const OPENING_ACTIONS: readonly string[] = [...DOCUMENT_ACTIONS, ...DOCUMENTLESS]
/** What opens a key of this use; the rest cannot be done with it. */
const BY_USAGE: Readonly<Record<string, readonly string[]>> = {
  ENCRYPT_DECRYPT: [
    'kms:Decrypt',
    'kms:GenerateDataKey',
    'kms:GenerateDataKeyPair',
    'kms:ReEncryptFrom',
  ],
  SIGN_VERIFY: ['kms:Sign'],
  GENERATE_VERIFY_MAC: ['kms:GenerateMac'],
  KEY_AGREEMENT: ['kms:DeriveSharedSecret'],
  ENCAPSULATE_DECAPSULATE: ['kms:Decapsulate'],
}

/** Operators of an Allow that hold when the document has one of the values. */
const ONLY = /^(ForAnyValue:)?String(Equals|EqualsIgnoreCase|Like)$/

/**
 * The actions that no Deny in the policy keeps from requests without the right document, of those that open a key.
 * @param usage - The key's `KeyUsage`; any use when it is not given, or not known.
 */
export function unguardedActions(policy: PolicyDocument, usage = ''): readonly string[] {
  return (BY_USAGE[usage] ?? OPENING_ACTIONS).filter((action) => !isDenied(policy, action))
}

/** Whether everyone is denied an action without the right document, on every resource. */
export function isDenied(policy: PolicyDocument, action: string): boolean {
  const guards = guardsOf(policy, action)
  if (guards.some(({ conditions }) => conditions.length === 0)) return true
  const registers = registersOf(guards)
  return DOCUMENT_ACTIONS.includes(action) ? identityOf(registers) !== null : registers.size > 0
}

/** The registers that a document must have certain values of where a statement allows an action. */
export function requiredRegisters(
  { conditions }: Statement,
  policy: PolicyDocument,
  action: string,
): Registers {
  const own = conditions.filter(({ operator }) => ONLY.test(operator)).map(measuredRegister)
  const guarded = registersOf(guardsOf(policy, action))
  return new Set([...own.filter((one) => one !== null), ...guarded])
}

/** The names of statements that open the key for documents under other roots than these. */
export function openToOtherRoots(
  policy: PolicyDocument,
  roots: readonly string[],
): readonly string[] {
  const opens = (one: Statement, action: string): boolean =>
    covers(one, action) && !requiresRoot(one, policy, { action, roots })
  return policy.statements
    .filter(
      (one) => one.effect === 'Allow' && DOCUMENT_ACTIONS.some((action) => opens(one, action)),
    )
    .map(({ name }) => name)
}

function requiresRoot(
  { conditions }: Statement,
  policy: PolicyDocument,
  { action, roots }: { readonly action: string; readonly roots: readonly string[] },
): boolean {
  const names = (effect: string) => (one: Condition) =>
    restrictsRoots(one, effect) && one.values.every((value) => roots.includes(value.toLowerCase()))
  const isGuard = (one: Statement): boolean =>
    one.conditions.length <= 1 && one.conditions.every(names('Deny'))
  return conditions.some(names('Allow')) || denialsOf(policy, action).some(isGuard)
}

/** Whether a statement is about an action. */
export function covers({ action: { negated, entries } }: Statement, action: string): boolean {
  const name = action.toLowerCase()
  return entries.some((one) => isLike(name, patternOf(one.toLowerCase()))) !== negated
}

/** Whether a statement names everyone. */
export function isAnyone({ principal }: Statement): boolean {
  return (
    principal !== null &&
    !principal.negated &&
    principal.entries.some(({ kind }) => kind === 'anyone')
  )
}

/**
 * The Deny statements that hold for every request without certain measurements. All of a statement's conditions must
 * hold for it to apply: with two, a document that has one of the values and not the other is not denied.
 */
function guardsOf(policy: PolicyDocument, action: string): readonly Statement[] {
  return denialsOf(policy, action).filter(({ conditions: [first, ...others] }) => {
    if (first === undefined) return true
    return others.length === 0 && UNLESS.test(first.operator) && measuredRegister(first) !== null
  })
}

function denialsOf({ statements }: PolicyDocument, action: string): readonly Statement[] {
  return statements.filter(
    (one) => one.effect === 'Deny' && covers(one, action) && isAnyone(one) && isEverything(one),
  )
}

function registersOf(guards: readonly Statement[]): Registers {
  const registers = guards.flatMap(({ conditions }) => conditions.map(measuredRegister))
  return new Set(registers.filter((one) => one !== null))
}

function isEverything({ resource: { negated, entries } }: Statement): boolean {
  return !negated && entries.includes('*')
}
