// The condition operators of IAM: how one value of a request compares with one value of a policy.
// A negated operator is a positive one with `negated`: it holds when nothing matches, so also when
// the request has no value at all.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html

import { isInRange, isRange } from './ip-address.ts'
import { isLike, literalOf, type Pattern } from './pattern.ts'

/** One operator without prefix and suffix. */
export interface Operator {
  readonly negated: boolean
  /** Whether a value of the request matches a value of the policy. */
  readonly matches: (actual: string, expected: Pattern) => boolean
  /** Whether a text may stand in a policy; a text that could never match is a mistake. */
  readonly accepts: (expected: string) => boolean
}

type Compare = (actual: string, expected: string) => boolean
type Order = (difference: number) => boolean

const ANY_TEXT = (): boolean => true
const NUMBER = /^[+-]?\d{1,18}(\.\d{1,18})?$/
/** W3C's profile of ISO 8601, with the time or without. */
const DATE = /^\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?)?)?$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const BOOLEAN = /^(true|false)$/i

const equals: Compare = (actual, expected) => actual === expected
const equalsIgnoreCase: Compare = (actual, expected) =>
  actual.toLowerCase() === expected.toLowerCase()

const ORDERS: Readonly<Record<string, Order>> = {
  Equals: (difference) => difference === 0,
  LessThan: (difference) => difference < 0,
  LessThanEquals: (difference) => difference <= 0,
  GreaterThan: (difference) => difference > 0,
  GreaterThanEquals: (difference) => difference >= 0,
}

const OPERATORS: ReadonlyMap<string, Operator> = new Map([
  ...withNegation('StringEquals', 'StringNotEquals', exact(equals)),
  ...withNegation('StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase', exact(equalsIgnoreCase)),
  ...withNegation('StringLike', 'StringNotLike', { matches: isLike, accepts: ANY_TEXT }),
  // Both names of each pair do the same for ARNs: each of the six parts is matched by itself.
  ...withNegation('ArnLike', 'ArnNotLike', { matches: isArnLike, accepts: isArn }),
  ...withNegation('ArnEquals', 'ArnNotEquals', { matches: isArnLike, accepts: isArn }),
  ...withNegation('IpAddress', 'NotIpAddress', { ...exact(isInRange), accepts: isRange }),
  ...withNegation('Bool', null, {
    ...exact(equalsIgnoreCase),
    accepts: (text) => BOOLEAN.test(text),
  }),
  ...withNegation('BinaryEquals', null, { ...exact(equals), accepts: (text) => BASE64.test(text) }),
  ...ordered('Numeric', numberOf),
  ...ordered('Date', timeOf),
])

/** The operator of a name without `ForAnyValue:`, `ForAllValues:` and `IfExists`. */
export function operatorOf(name: string): Operator | undefined {
  return OPERATORS.get(name)
}

function withNegation(
  name: string,
  opposite: string | null,
  operator: Omit<Operator, 'negated'>,
): [string, Operator][] {
  const positive: [string, Operator] = [name, { ...operator, negated: false }]
  return opposite === null ? [positive] : [positive, [opposite, { ...operator, negated: true }]]
}

function exact(compare: Compare): Omit<Operator, 'negated'> {
  return {
    matches: (actual, expected) => compare(actual, literalOf(expected)),
    accepts: ANY_TEXT,
  }
}

function ordered(kind: string, parse: (text: string) => number): [string, Operator][] {
  const accepts = (text: string): boolean => !Number.isNaN(parse(text))
  return Object.entries(ORDERS).flatMap(([order, holds]) => {
    const compare: Compare = (actual, expected) => holds(parse(actual) - parse(expected))
    const opposite = order === 'Equals' ? `${kind}NotEquals` : null
    return withNegation(`${kind}${order}`, opposite, { ...exact(compare), accepts })
  })
}

function numberOf(text: string): number {
  return NUMBER.test(text) ? Number(text) : Number.NaN
}

/** Milliseconds since the epoch, of a date or of seconds since the epoch. */
function timeOf(text: string): number {
  if (/^\d{1,12}$/.test(text) && text.length !== 4) return Number(text) * 1000
  return DATE.test(text) ? Date.parse(text) : Number.NaN
}

const ARN_PARTS = 6

function isArn(text: string): boolean {
  return text === '*' || text.split(':').length >= ARN_PARTS
}

function isArnLike(actual: string, expected: Pattern): boolean {
  const [parts, wanted] = [splitArn(Array.from(actual)), splitArn(expected)]
  if (parts.length !== ARN_PARTS) return false
  if (wanted.length !== ARN_PARTS) return wanted.length === 1 && isLike(actual, expected)
  return wanted.every((part, index) => isLike((parts[index] ?? []).join(''), part))
}

/** Six parts, of which the last may have colons itself. */
function splitArn(text: Pattern): readonly Pattern[] {
  const parts: Pattern[number][][] = [[]]
  for (const one of text) {
    if (one === ':' && parts.length < ARN_PARTS) parts.push([])
    else parts.at(-1)?.push(one)
  }
  return parts
}
