// The condition block of a statement, with every operator of IAM: all keys of all operators must
// hold. Of the values in the policy one must match; of a negated operator, none.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html

import { check } from '../errors.ts'
import { operatorOf, type Operator } from './operators.ts'
import {
  expandPattern,
  isBounded,
  MAX_VALUE_CHARACTERS,
  patternOf,
  type Lookup,
  type Pattern,
} from './pattern.ts'

/** What a request says of itself, by condition key; a list when the key is multivalued. */
export type RequestContext = Readonly<Record<string, string | readonly string[]>>

/** One comparison that a statement asks for. */
export interface Condition {
  /** As written, e.g. `ForAnyValue:StringLikeIfExists`. */
  readonly operator: string
  readonly key: string
  readonly values: readonly string[]
}

/** A {@link Condition} beside what the request says. */
export interface CheckedCondition extends Condition {
  /** Null when the request has no such key. */
  readonly actual: string | readonly string[] | null
  readonly holds: boolean
}

/** How a request is looked at: its values by lower-case key, and whether variables count. */
export interface ConditionScope {
  readonly values: ReadonlyMap<string, string | readonly string[]>
  /** Policy variables exist in version 2012-10-17 only; before, they are plain text. */
  readonly hasVariables: boolean
}

const NAME = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/

interface ParsedName {
  readonly set: string | undefined
  /** Null for the operator `Null`. */
  readonly operator: Operator | null
  readonly ifExists: boolean
}

/**
 * The keys of a request in the form that conditions are checked against.
 * @throws AttestationError ERR_CONDITION_FORMAT when two keys differ in case only, or a value has more than
 * 65536 characters.
 */
export function scopeOf(context: RequestContext, hasVariables: boolean): ConditionScope {
  const entries = Object.entries(context).map(([key, value]) => [key.toLowerCase(), value] as const)
  const values = new Map(entries)
  const right =
    values.size === entries.length &&
    entries.every(([, value]) => [value].flat().every((one) => one.length <= MAX_VALUE_CHARACTERS))
  check(right, 'ERR_CONDITION_FORMAT', 'the request has a key twice, or a value that is too long')
  return { values, hasVariables }
}

/** The single-valued keys of a request, for policy variables. */
function lookupIn({ values }: ConditionScope): Lookup {
  return (key) => {
    const value = values.get(key.toLowerCase())
    return typeof value === 'string' ? value : undefined
  }
}

/**
 * Reads a condition block.
 * @throws AttestationError ERR_CONDITION_FORMAT on an unknown operator, or a value that it can never match.
 */
export function parseConditions(block: unknown): readonly Condition[] {
  return entriesOf(block, 'Condition').flatMap(([operator, keys]) => {
    const parsed = parseName(operator)
    return entriesOf(keys, operator).map(([key, value]) => {
      const values = textsOf(value, key)
      const right = values.every((text) => text.includes('${') || accepts(parsed, text))
      check(
        right,
        'ERR_CONDITION_FORMAT',
        `${operator} cannot compare ${key} with ${values.join(', ')}`,
        {
          operator,
          key,
        },
      )
      return { operator, key, values }
    })
  })
}

/**
 * Whether one condition holds for a request. One of an Allow does not where a variable in it has no value;
 * in a Deny such a value matches nothing, so that negated operators still deny.
 */
export function checkCondition(
  condition: Condition,
  scope: ConditionScope,
  effect: 'Allow' | 'Deny',
): CheckedCondition {
  const actual = scope.values.get(condition.key.toLowerCase()) ?? null
  const present = typeof actual === 'string' ? [actual] : (actual ?? [])
  return { ...condition, actual, holds: holds(condition, present, { ...scope, effect }) }
}

function holds(
  { operator: name, values }: Condition,
  present: readonly string[],
  scope: ConditionScope & { readonly effect: 'Allow' | 'Deny' },
): boolean {
  const { set, operator, ifExists } = parseName(name)
  if (operator === null) return values.some((text) => isTrue(text) === (present.length === 0))
  if (present.length === 0 && ifExists) return true
  const expanded = values.map((text) => patternIn(text, scope))
  if (scope.effect === 'Allow' && expanded.includes(null)) return false
  const patterns = expanded.filter((pattern) => pattern !== null)
  const matches = (one: string): boolean =>
    patterns.some((pattern) => operator.matches(one, pattern)) !== operator.negated
  if (set === 'ForAllValues') return present.every(matches)
  if (set === 'ForAnyValue') return present.some(matches)
  return operator.negated ? present.every(matches) : present.some(matches)
}

/** A text of a policy as a pattern; null when a variable in it has no value. */
export function patternIn(text: string, scope: ConditionScope): Pattern | null {
  return scope.hasVariables ? expandPattern(text, lookupIn(scope)) : patternOf(text)
}

function parseName(name: string): ParsedName {
  const [, set, base = '', ifExists] = NAME.exec(name) ?? []
  const isNull = base === 'Null' && set === undefined && ifExists === undefined
  const operator = isNull ? null : operatorOf(base)
  check(operator !== undefined, 'ERR_CONDITION_FORMAT', `unknown operator ${name}`, { name })
  return { set, operator, ifExists: ifExists !== undefined }
}

function accepts({ operator }: ParsedName, text: string): boolean {
  return operator === null ? /^(true|false)$/i.test(text) : operator.accepts(text)
}

function isTrue(text: string): boolean {
  return text.toLowerCase() === 'true'
}

function entriesOf(value: unknown, name: string): readonly [string, unknown][] {
  const right = typeof value === 'object' && value !== null && !Array.isArray(value)
  check(right, 'ERR_CONDITION_FORMAT', `${name} is not an object`, { name })
  return Object.entries(value as Record<string, unknown>)
}

function textsOf(value: unknown, key: string): readonly string[] {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  check(values.length > 0, 'ERR_CONDITION_FORMAT', `${key} has no values`, { key })
  return values.map((one) => {
    const right = typeof one === 'string' || typeof one === 'boolean' || typeof one === 'number'
    check(
      right && isBounded(String(one)),
      'ERR_CONDITION_FORMAT',
      `${key} has a value that is not text, or too long`,
      { key },
    )
    return String(one)
  })
}
