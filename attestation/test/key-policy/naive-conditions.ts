// A second opinion on conditions: regular expressions for wildcards, a table of dates, addresses as strings of bits.

import type { AccessRequest } from '../../src/policy/index.ts'

/** Text of a policy: what stands for itself, because a variable put it there, and what may have wildcards. */
type Text = readonly { readonly text: string; readonly isLiteral: boolean }[]

interface Given {
  readonly context: AccessRequest['context']
  readonly version: string
  readonly effect: 'Allow' | 'Deny'
}

/** In seconds since the epoch. */
const DATES: Readonly<Record<string, number>> = {
  '2026-01-01T00:00:00Z': 1_767_225_600,
  '2026-01-01': 1_767_225_600,
  '2026-01-01T02:00:00+02:00': 1_767_225_600,
  '1767225600': 1_767_225_600,
  '2026-06-01T00:00:00Z': 1_780_272_000,
  '2027': 1_798_761_600,
}

export function conditionHolds(
  name: string,
  [key, values]: readonly [string, readonly string[]],
  given: Given,
): boolean {
  const value = given.context[key]
  const actual = typeof value === 'string' ? [value] : (value ?? [])
  if (name === 'Null') return values[0] === String(actual.length === 0)
  if (name.endsWith('IfExists') && actual.length === 0) return true
  const operator = name.replace('IfExists', '').replace(/^.*:/, '')
  const expanded = values.map((text) => expand(text, given))
  if (given.effect === 'Allow' && expanded.includes(null)) return false
  const isNegated = operator.includes('Not')
  const test = (one: string): boolean => {
    const some = expanded.some((text) => text !== null && compare(operator, one, text))
    return isNegated ? !some : some
  }
  if (name.startsWith('ForAllValues:')) return actual.every(test)
  if (name.startsWith('ForAnyValue:')) return actual.some(test)
  return isNegated ? actual.every(test) : actual.some(test)
}

/** Null when a variable has no value. */
export function expand(text: string, { context, version }: Given): Text | null {
  if (version !== '2012-10-17') return [{ text, isLiteral: false }]
  const parts: { text: string; isLiteral: boolean }[] = []
  for (const piece of text.split(/(\$\{[^{}]*\})/)) {
    if (!piece.startsWith('${')) {
      parts.push({ text: piece, isLiteral: false })
      continue
    }
    const name = piece.slice(2, -1)
    const [key = '', otherwise] = name.split(/, '|'/)
    const value = name === '*' ? '*' : context[key]
    const found = typeof value === 'string' ? value : otherwise
    if (found === undefined) return null
    parts.push({ text: found, isLiteral: true })
  }
  return parts
}

/** Whether a text matches as a whole. */
export function like(text: string, pattern: Text): boolean {
  const source = pattern.map(({ text: part, isLiteral }) => {
    const escaped = part.replace(/[.+^${}()|[\]\\*?]/g, '\\$&')
    return isLiteral ? escaped : escaped.replaceAll('\\*', '.*').replaceAll('\\?', '.')
  })
  return new RegExp(`^${source.join('')}$`, 's').test(text)
}

function compare(operator: string, actual: string, expected: Text): boolean {
  const text = expected.map((part) => part.text).join('')
  const kind = operator.replace('Not', '')
  if (kind.startsWith('Numeric')) return ordered(kind, Number(actual) - Number(text))
  if (kind.startsWith('Date'))
    return ordered(kind, (DATES[actual] ?? Number.NaN) - (DATES[text] ?? Number.NaN))
  if (kind.startsWith('Arn')) return arnLike(actual, text)
  if (kind === 'IpAddress') return bits(actual).startsWith(prefix(text))
  if (kind === 'StringLike') return like(actual, expected)
  const isExact = kind === 'StringEquals' || kind === 'BinaryEquals'
  return isExact ? actual === text : actual.toLowerCase() === text.toLowerCase()
}

function ordered(kind: string, difference: number): boolean {
  if (kind.endsWith('LessThan')) return difference < 0
  if (kind.endsWith('LessThanEquals')) return difference <= 0
  if (kind.endsWith('GreaterThan')) return difference > 0
  return kind.endsWith('GreaterThanEquals') ? difference >= 0 : difference === 0
}

/** Part by part; the sixth may have colons itself. The random texts have no variable in an ARN that is well-formed. */
function arnLike(actual: string, expected: string): boolean {
  const ARN = /^([^:]*):([^:]*):([^:]*):([^:]*):([^:]*):(.*)$/s
  const parts = ARN.exec(actual)
  if (parts === null) return false
  if (expected === '*') return true
  const wanted = ARN.exec(expected)
  return (
    wanted
      ?.slice(1)
      .every((text, index) => like(parts[index + 1] ?? '', [{ text, isLiteral: false }])) ?? false
  )
}

/** The family and the bits of an address; nothing that begins so where it is malformed. */
function bits(address: string): string {
  const binary = (numbers: readonly number[], width: number): string =>
    numbers.map((one) => one.toString(2).padStart(width, '0')).join('')
  if (address.includes(':')) {
    const [head = '', tail = ''] = address.split('::')
    const groups = (text: string) =>
      (text === '' ? [] : text.split(':')).map((one) => parseInt(one, 16))
    const [first, last] = [groups(head), groups(tail)]
    const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0)
    return `6:${binary([...first, ...zeros, ...last], 16)}`
  }
  return address.includes('.') ? `4:${binary(address.split('.').map(Number), 8)}` : 'malformed'
}

function prefix(range: string): string {
  const [address = '', length = '128'] = range.split('/')
  return bits(address).slice(0, 2 + Number(length))
}
