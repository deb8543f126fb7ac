// JSON whose numbers keep their text: 9007199254740993 and 2.0 cannot be JavaScript numbers. JSON.parse
// has no place for them before Node 21.

import { checkJsonStructure, type JsonBounds } from './bounded-json.ts'
import { CloisterError } from './errors.ts'

/** A number that JavaScript would write otherwise. */
export class JsonNumber {
  /** As in the JSON text. */
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  /** The nearest double, for `JSON.stringify`. */
  toJSON(): number {
    return Number(this.text)
  }
}

/** The value of a UTF-8 JSON text; of a key twice, the last counts, as with JSON.parse. */
export function parseExactJson(bytes: Uint8Array, bounds: JsonBounds): unknown {
  checkJsonStructure(bytes, bounds)
  try {
    return parseOwnJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new CloisterError(bounds.code, `${bounds.name} is not JSON`, { cause })
  }
}

/**
 * The value of a JSON text of our own.
 * @throws SyntaxError
 */
export function parseOwnJson(text: string): unknown {
  const parser = new Parser(text)
  const value = parser.value()
  parser.end()
  return value
}

/**
 * JSON with the keys as they are and the numbers as they were written.
 * @param indent - Of each level; compact when it is empty.
 */
export function stringifyJson(value: unknown, indent = ''): string {
  return write(value, indent === '' ? '' : '\n', indent)
}

function write(value: unknown, lineStart: string, indent: string): string {
  if (value instanceof JsonNumber) return value.text
  if (value === undefined) return 'null'
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const inner = lineStart + indent
  const list = (items: readonly string[], open: string, close: string): string =>
    items.length === 0
      ? open + close
      : `${open}${inner}${items.join(`,${inner}`)}${lineStart}${close}`
  if (Array.isArray(value))
    return list(
      value.map((item) => write(item, inner, indent)),
      '[',
      ']',
    )
  const colon = indent === '' ? ':' : ': '
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => `${JSON.stringify(key)}${colon}${write(item, inner, indent)}`)
  return list(entries, '{', '}')
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const SPACE = /[ \t\n\r]*/y
const LITERAL = /true|false|null/y

/** Recursive: its caller has counted the depth. */
class Parser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
    this.#match(SPACE)
  }

  value(): unknown {
    const first = this.#text[this.#at]
    if (first === '{') return this.#object()
    if (first === '[') return this.#array()
    return first === '"' ? this.#string() : (this.#number() ?? this.#literal())
  }

  end(): void {
    if (this.#at < this.#text.length) throw this.#unexpected()
  }

  #object(): object {
    const entries: [string, unknown][] = []
    this.#items('}', () => {
      const key = this.#string()
      this.#take(':')
      entries.push([key, this.value()])
    })
    // Defines `__proto__` like every other key.
    return Object.fromEntries(entries)
  }

  #array(): unknown[] {
    const items: unknown[] = []
    this.#items(']', () => items.push(this.value()))
    return items
  }

  #items(close: string, item: () => void): void {
    this.#skip(1)
    if (this.#text[this.#at] !== close) {
      item()
      while (this.#text[this.#at] === ',') {
        this.#skip(1)
        item()
      }
    }
    this.#take(close)
  }

  #string(): string {
    const start = this.#at
    if (this.#text[start] !== '"') throw this.#unexpected()
    let end = this.#text.indexOf('"', start + 1)
    while (end > 0 && this.#isEscaped(end, start)) end = this.#text.indexOf('"', end + 1)
    if (end < 0) throw this.#unexpected()
    this.#skip(end + 1 - start)
    return JSON.parse(this.#text.slice(start, end + 1)) as string
  }

  /** Whether an odd number of backslashes stands before a quotation mark. */
  #isEscaped(at: number, start: number): boolean {
    let first = at
    while (first - 1 > start && this.#text[first - 1] === '\\') first -= 1
    return (at - first) % 2 === 1
  }

  #number(): number | JsonNumber | undefined {
    const text = this.#match(NUMBER)
    if (text === undefined) return undefined
    this.#match(SPACE)
    return String(Number(text)) === text ? Number(text) : new JsonNumber(text)
  }

  #literal(): unknown {
    const text = this.#match(LITERAL)
    if (text === undefined) throw this.#unexpected()
    this.#match(SPACE)
    return JSON.parse(text)
  }

  #take(character: string): void {
    if (this.#text[this.#at] !== character) throw this.#unexpected()
    this.#skip(1)
  }

  #skip(length: number): void {
    this.#at += length
    this.#match(SPACE)
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const [text] = pattern.exec(this.#text) ?? []
    this.#at += text?.length ?? 0
    return text
  }

  #unexpected(): SyntaxError {
    return new SyntaxError(`unexpected text at ${String(this.#at)}`)
  }
}
