// Text of a policy with wildcards and policy variables. `*` is any text, `?` is one character;
// `${key}` is the request's value of a condition key, taken literally: wildcards in it match only
// themselves. `${*}`, `${?}` and `${$}` are those characters, `${key, 'x'}` has a default.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html

/** Any text, including none. */
const ANY = 0
/** Exactly one character. */
const ONE = 1

/** Characters that stand for themselves, and wildcards. */
export type Pattern = readonly (string | typeof ANY | typeof ONE)[]

/** The value of a single-valued condition key in this request; undefined when it has none. */
export type Lookup = (key: string) => string | undefined

/** A variable, or one character. */
const PARTS = /\$\{([^{}]*)\}|[^]/gu
const MAX_PATTERN_CHARACTERS = 2048
const MAX_NAME_CHARACTERS = 256
/** Of one value of a request. */
export const MAX_VALUE_CHARACTERS = 65_536

/** Whether a text of a policy is within bounds: 2048 characters, 256 in the name of a variable. */
export function isBounded(text: string): boolean {
  const names = Array.from(
    text.slice(0, MAX_PATTERN_CHARACTERS).matchAll(PARTS),
    ([, name]) => name,
  )
  return (
    text.length <= MAX_PATTERN_CHARACTERS &&
    names.every((name = '') => splitDefault(name).key.length <= MAX_NAME_CHARACTERS)
  )
}

/** A text without variables as a pattern. */
export function patternOf(text: string): Pattern {
  return Array.from(text, wildcardOr)
}

/**
 * Substitutes policy variables; null when one of them has no value in this request. What is longer than
 * any value of a request matches none, so that the rest of it does not count.
 */
export function expandPattern(text: string, lookup: Lookup): Pattern | null {
  const pattern: Pattern[number][] = []
  for (const [one, name] of text.matchAll(PARTS)) {
    if (name === undefined) pattern.push(wildcardOr(one))
    else {
      const value = valueOf(name, lookup)
      if (value === undefined) return null
      if (pattern.length <= MAX_VALUE_CHARACTERS)
        for (const character of value) pattern.push(character)
    }
  }
  return pattern
}

/** The text of a pattern for operators without wildcards: there `*` and `?` stand for themselves. */
export function literalOf(pattern: Pattern): string {
  return pattern.map((one) => (one === ANY ? '*' : one === ONE ? '?' : one)).join('')
}

/**
 * Whether the whole text matches. Each part between wildcards `*` is looked for where the one before ends,
 * once through the text, with one operation on as many bits as the part has for each character.
 */
export function isLike(actual: string, pattern: Pattern): boolean {
  const text = Array.from(actual)
  const [first = [], ...others] = partsOf(pattern)
  const last = others.pop()
  if (!isAt(text, first, 0)) return false
  if (last === undefined) return text.length === first.length
  let at = first.length
  for (const part of others) {
    const start = search(text, part, at)
    if (start < 0) return false
    at = start + part.length
  }
  const end = text.length - last.length
  return at <= end && isAt(text, last, end)
}

/** What is before, between and after the wildcards `*`. */
function partsOf(pattern: Pattern): readonly Pattern[] {
  const parts: Pattern[number][][] = [[]]
  for (const one of pattern) {
    if (one === ANY) parts.push([])
    else parts.at(-1)?.push(one)
  }
  return parts
}

function isAt(text: readonly string[], part: Pattern, at: number): boolean {
  if (at + part.length > text.length) return false
  return part.every((one, index) => one === ONE || one === text[at + index])
}

/**
 * Where a part without `*` begins, or -1: the Shift-And algorithm of Baeza-Yates and Gonnet. Bit n of the
 * state says that the last n + 1 characters match the part's first n + 1.
 */
function search(text: readonly string[], part: Pattern, from: number): number {
  if (part.length === 0) return from
  if (from + part.length > text.length) return -1
  const masks = new Map<Pattern[number] | undefined, bigint>()
  part.forEach((one, index) => masks.set(one, (masks.get(one) ?? 0n) | (1n << BigInt(index))))
  const any = masks.get(ONE) ?? 0n
  for (const [one, mask] of masks) masks.set(one, mask | any)
  const whole = 1n << BigInt(part.length - 1)
  let state = 0n
  for (let at = from; at < text.length; at++) {
    state = ((state << 1n) | 1n) & (masks.get(text[at]) ?? any)
    if ((state & whole) !== 0n) return at + 1 - part.length
  }
  return -1
}

function wildcardOr(character: string): Pattern[number] {
  return character === '*' ? ANY : character === '?' ? ONE : character
}

function valueOf(name: string, lookup: Lookup): string | undefined {
  if (name === '*' || name === '?' || name === '$') return name
  const { key, otherwise } = splitDefault(name)
  return lookup(key) ?? otherwise
}

/** `key` and `key, 'default'`; the key has neither a comma nor a quote. */
function splitDefault(name: string): { readonly key: string; readonly otherwise?: string } {
  const comma = name.indexOf(',')
  const key = name.slice(0, Math.max(0, comma)).trimEnd()
  const [before, otherwise, after, ...more] = name.slice(comma + 1).split("'")
  const isQuoted = before?.trim() === '' && after === '' && more.length === 0
  if (key === '' || key.includes("'") || !isQuoted || otherwise === undefined) return { key: name }
  return { key, otherwise }
}
