// YAML of a person, read with bounds: the core schema of YAML 1.2 without what makes a small text large
// or ambiguous (anchors, aliases, tags, directives, several documents), and where every value stands.

import { Composer, CST, isMap, isScalar, isSeq, Lexer, LineCounter, Parser, type Node } from 'yaml'
import { CloisterError } from './errors.ts'

const MAX_BYTES = 64 * 1024
const MAX_DEPTH = 16
/** The library compares each key of a map with all others, so their number is bounded too. */
const MAX_TOKENS = 16 * 1024

const REFUSED: Partial<Record<CST.TokenType, string>> = {
  alias: 'aliases are not allowed',
  anchor: 'anchors are not allowed',
  tag: 'tags are not allowed',
  'directive-line': 'directives are not allowed',
}

export interface Position {
  /** From 1. */
  readonly line: number
  /** From 1, in UTF-16 code units. */
  readonly column: number
}

export interface YamlDocument {
  readonly value: unknown
  /** Where the value of this path stands, or its key when `atKey`; else what is nearest above it. */
  readonly locate: (path: readonly string[], atKey?: boolean) => Position
}

/**
 * Reads one document.
 *
 * @param name - Of the file, for errors.
 * @throws `ERR_MANIFEST_YAML` with line and column
 */
export function parseYaml(bytes: Uint8Array, name: string): YamlDocument {
  const lines = new LineCounter()
  const fail = (message: string, offset: number): never => {
    const { line, col } = lines.linePos(offset)
    throw yamlError(name, message, { line, column: col })
  }
  const text = decode(bytes, name)
  const tokens = parseTokens(text, lines, fail)
  const composer = new Composer({ version: '1.2', schema: 'core', prettyErrors: false })
  const [document, next] = composer.compose(tokens, true, text.length)
  if (document?.contents == null) return fail('there is no document', 0)
  if (next !== undefined) return fail('there is more than one document', next.range[0])
  const [error] = [...document.errors, ...document.warnings]
  if (error !== undefined) return fail(error.message, error.pos[0])
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  return {
    value: document.toJS() as unknown,
    locate: (path, atKey = false) => position(offsetOf(document.contents, path, atKey)),
  }
}

function decode(bytes: Uint8Array, name: string): string {
  const start = { line: 1, column: 1 }
  if (bytes.length > MAX_BYTES)
    throw yamlError(name, `it is longer than ${String(MAX_BYTES)} bytes`, start)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw yamlError(name, 'it is not UTF-8', start)
  }
}

/** As `Parser.parse` does it, with a look at every token. */
function parseTokens(
  text: string,
  lines: LineCounter,
  fail: (message: string, offset: number) => never,
): readonly CST.Token[] {
  const parser = new Parser(lines.addNewLine)
  lines.addNewLine(0)
  const tokens: CST.Token[] = []
  let count = 0
  for (const lexeme of new Lexer().lex(text)) {
    const problem = REFUSED[CST.tokenType(lexeme) ?? 'scalar']
    if (problem !== undefined) fail(problem, parser.offset)
    if (++count > MAX_TOKENS) fail('it has too many parts', parser.offset)
    tokens.push(...parser.next(lexeme))
    if (parser.stack.length > MAX_DEPTH) fail('it is nested too deeply', parser.offset)
  }
  return [...tokens, ...parser.end()]
}

function offsetOf(root: Node | null, path: readonly string[], atKey: boolean): number {
  let node: unknown = root
  let offset = root?.range?.[0] ?? 0
  for (const [depth, step] of path.entries()) {
    const [key, value] = stepInto(node, step)
    const target = atKey && depth === path.length - 1 ? key : (value ?? key)
    offset = (target as Node | undefined)?.range?.[0] ?? offset
    node = value
  }
  return offset
}

function stepInto(node: unknown, step: string): readonly [unknown, unknown] {
  if (isSeq(node)) return [undefined, node.items[Number(step)]]
  if (!isMap(node)) return [undefined, undefined]
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
  return [pair?.key, pair?.value]
}

function yamlError(name: string, message: string, position: Position): CloisterError {
  const { line, column } = position
  return new CloisterError(
    'ERR_MANIFEST_YAML',
    `${name}:${String(line)}:${String(column)}: ${message}`,
    { details: { line, column } },
  )
}
