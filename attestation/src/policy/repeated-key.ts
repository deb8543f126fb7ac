// JSON in which every key counts: of two equal keys JSON.parse keeps the last, and another reader of the same text may
// keep the first.

/** Strings whole, so that what is inside of them is not taken for structure. */
const TOKENS = /"[^"\\]*(?:\\[^][^"\\]*)*"|[{}[\]:]/g

/** A key that one object of a valid JSON text has twice; undefined when there is none. */
export function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = []
  let last = '""'
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') open.push(new Set())
    else if (token === '}' || token === ']') open.pop()
    else if (token !== ':') last = token
    else {
      const key = JSON.parse(last) as string
      if (open.at(-1)?.has(key) === true) return key
      open.at(-1)?.add(key)
    }
  }
  return undefined
}
