// Parses JSON that comes from outside. JSON.parse takes 30 times the memory of its input for a text
// of empty lists, and code that walks what it returns takes as much stack as the text has depth. So
// the structure is counted first, in one pass over the text.

import { CloisterError, check, type ErrorCode } from './errors.ts'

export interface JsonBounds {
  /** The code of the error when the text is not JSON or exceeds a bound. */
  readonly code: ErrorCode
  /** What the text is, for the error. */
  readonly name: string
  /** Lists and objects inside one another. */
  readonly maxDepth: number
  /** Values and keys. */
  readonly maxItems: number
}

/** The bounds for documents that people and tools write: AWS's reader stops at a depth of 128. */
export const DOCUMENT_BOUNDS = { maxDepth: 64, maxItems: 100_000 } as const

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BACKSLASH = 0x5c
const OPENING = [0x5b, 0x7b]
const CLOSING = [0x5d, 0x7d]

/** The value of a UTF-8 JSON text. */
export function parseBoundedJson(bytes: Uint8Array, bounds: JsonBounds): unknown {
  checkJsonStructure(bytes, bounds)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new CloisterError(bounds.code, `${bounds.name} is not JSON`, { cause })
  }
}

/** Counts what is in a JSON text, before anything is made of it. */
export function checkJsonStructure(
  bytes: Uint8Array,
  { code, name, maxDepth, maxItems }: JsonBounds,
): void {
  let depth = 0
  let items = 1
  let isInText = false
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] ?? 0
    if (isInText) {
      if (byte === BACKSLASH) index += 1
      else if (byte === QUOTE) isInText = false
      continue
    }
    if (byte === QUOTE) isInText = true
    else if (byte === COMMA || byte === COLON) items += 1
    else if (OPENING.includes(byte)) {
      depth += 1
      items += 1
    } else if (CLOSING.includes(byte)) depth -= 1
    else continue
    check(depth <= maxDepth, code, `${name} is nested too deeply`, { details: { maxDepth } })
    check(items <= maxItems, code, `${name} has too many values`, { details: { maxItems } })
  }
}
