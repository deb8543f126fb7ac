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
const WITH_DEFAULT = /^([^,']+?)\s*,\s*'([^']*)'$/

/** A text without variables as a pattern. */
export function patternOf(text: string): Pattern {
  return Array.from(text, wildcardOr)
}

/** Substitutes policy variables; null when one of them has no value in this request. */
export function expandPattern(text: string, lookup: Lookup): Pattern | null {
  const pattern: Pattern[number][] = []
  for (const [one, name] of text.matchAll(PARTS)) {
    if (name === undefined) pattern.push(wildcardOr(one))
    else {
      const value = valueOf(name, lookup)
      if (value === undefined) return null
      pattern.push(...Array.from(value))
    }
  }
  return pattern
}

/** The text of a pattern for operators without wildcards: there `*` and `?` stand for themselves. */
export function literalOf(pattern: Pattern): string {
  return pattern.map((one) => (one === ANY ? '*' : one === ONE ? '?' : one)).join('')
}

/** Whether the whole text matches. At most the product of both lengths in steps. */
export function isLike(actual: string, pattern: Pattern): boolean {
  const text = Array.from(actual)
  let [at, patternAt, starAt, retryAt] = [0, 0, -1, 0]
  while (at < text.length) {
    const wanted = pattern[patternAt]
    if (wanted === ANY) {
      starAt = patternAt++
      retryAt = at
    } else if (wanted === ONE || wanted === text[at]) {
      patternAt++
      at++
    } else if (starAt >= 0) {
      patternAt = starAt + 1
      at = ++retryAt
    } else return false
  }
  return pattern.slice(patternAt).every((one) => one === ANY)
}

function wildcardOr(character: string): Pattern[number] {
  return character === '*' ? ANY : character === '?' ? ONE : character
}

function valueOf(name: string, lookup: Lookup): string | undefined {
  if (name === '*' || name === '?' || name === '$') return name
  const [, key = name, otherwise] = WITH_DEFAULT.exec(name) ?? []
  return lookup(key) ?? otherwise
}
