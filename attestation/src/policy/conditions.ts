// IAM condition blocks: `{ operator: { key: value or values } }`, string operators and Null, for
// single-valued keys. Every key of every operator must hold; of several values one must match (for a
// negated operator, none). Left out, and in key-conditions.ts: set operators, numbers, dates, policy
// variables.

import { AttestationError, check } from '../errors.ts'
import { operatorOf } from './operators.ts'
import { isBounded, patternOf } from './pattern.ts'

/** `{ StringEqualsIgnoreCase: { 'kms:RecipientAttestation:PCR0': '…' } }`. */
export type ConditionBlock = Readonly<
  Record<string, Readonly<Record<string, string | boolean | readonly string[]>>>
>

/** The values of this request by condition key; keys are compared without regard to case. */
export type ConditionContext = Readonly<Record<string, string>>

/** One condition that does not hold. */
export interface UnmetCondition {
  readonly operator: string
  readonly key: string
  readonly expected: readonly string[]
  /** Null when the request has no such key. */
  readonly actual: string | null
}

const IF_EXISTS = 'IfExists'

/**
 * The conditions that do not hold, in the order of the block; none means that all hold.
 * @throws AttestationError ERR_CONDITION_FORMAT.
 */
export function unmetConditions(
  block: ConditionBlock,
  context: ConditionContext,
): readonly UnmetCondition[] {
  const values = new Map(Object.entries(context).map(([key, value]) => [key.toLowerCase(), value]))
  return Object.entries(block).flatMap(([operator, conditions]) =>
    Object.entries(asObject(conditions, operator)).flatMap(([key, value]) => {
      const expected = asTexts(value, key)
      const actual = values.get(key.toLowerCase()) ?? null
      return holds(operator, actual, expected) ? [] : [{ operator, key, expected, actual }]
    }),
  )
}

/**
 * Requires that every condition holds.
 * @throws AttestationError ERR_CONDITION_UNMET about the first that does not, ERR_CONDITION_FORMAT.
 */
export function checkConditions(block: ConditionBlock, context: ConditionContext): void {
  const [unmet] = unmetConditions(block, context)
  if (!unmet) return
  const { operator, key, expected, actual } = unmet
  const message = `${key} is ${actual ?? 'absent'}, expected ${operator} ${expected.join(' or ')}`
  throw new AttestationError('ERR_CONDITION_UNMET', message, { details: { ...unmet } })
}

function holds(name: string, actual: string | null, expected: readonly string[]): boolean {
  if (name === 'Null') return expected.includes(String(actual === null))
  const ifExists = name.endsWith(IF_EXISTS)
  const base = ifExists ? name.slice(0, -IF_EXISTS.length) : name
  const operator = base.startsWith('String') ? operatorOf(base) : undefined
  check(operator !== undefined, 'ERR_CONDITION_FORMAT', `unknown operator ${name}`, { name })
  if (actual === null) return ifExists || operator.negated
  return expected.some((one) => operator.matches(actual, patternOf(one))) !== operator.negated
}

function asObject(value: unknown, operator: string): Record<string, unknown> {
  const right = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(right, 'ERR_CONDITION_FORMAT', `${operator} does not hold an object of conditions`)
  return value as Record<string, unknown>
}

function asTexts(value: unknown, key: string): readonly string[] {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  check(values.length > 0, 'ERR_CONDITION_FORMAT', `${key} has no values`, { key })
  return values.map((one) => {
    const text = typeof one === 'boolean' ? String(one) : one
    const right = typeof text === 'string' && isBounded(text)
    check(right, 'ERR_CONDITION_FORMAT', `${key} has a value that is not text`, { key })
    return text
  })
}
