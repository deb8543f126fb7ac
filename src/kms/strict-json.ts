// JSON from outside in which every key counts: of two equal keys JSON.parse keeps the last, and another
// reader of the same policy or request may keep the first.

import { parseBoundedJson, DOCUMENT_BOUNDS } from '../bounded-json.ts'
import { check, type ErrorCode } from '../errors.ts'

/** Strings whole, so that what is inside of them is not taken for structure. */
const TOKENS = /"[^"\\]*(?:\\[^][^"\\]*)*"|[{}[\]:]/g

/**
 * The value of a UTF-8 JSON text without repeated keys, within the bounds of documents.
 * @throws the given code
 */
export function parseStrictJson(bytes: Uint8Array, code: ErrorCode, name: string): unknown {
  const value = parseBoundedJson(bytes, { code, name, ...DOCUMENT_BOUNDS })
  const repeated = repeatedKey(new TextDecoder().decode(bytes))
  check(repeated === undefined, code, `${name} has the key ${String(repeated)} twice`)
  return value
}

/** A key that one object of a valid JSON text has twice. */
function repeatedKey(text: string): string | undefined {
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
