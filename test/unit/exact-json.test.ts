// JSON.parse is the judge of what is JSON, and of every value but the numbers that it changes.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { JsonNumber, parseOwnJson, stringifyJson } from '../../src/exact-json.ts'

function orError(parse: (text: string) => unknown, text: string): unknown {
  try {
    return JSON.stringify(parse(text))
  } catch (error) {
    if (error instanceof SyntaxError) return 'SyntaxError'
    throw error
  }
}

describe('exact JSON', () => {
  it('is what JSON.parse takes, and has the same values', () => {
    const token = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        '"a"',
        '"\\u00e4"',
        '"\\\\"',
        '"\\""',
        ' ',
        '\n',
      ],
      ...['0', '-', '1.5', '1e5', '01', '.', '-1', 'true', 'false', 'null', 'nul', '\u00a0', '\t"'],
    )
    const tokens = fc.array(token, { maxLength: 12 }).map((parts) => parts.join(''))
    const json = fc.json({ stringUnit: 'binary' })
    fc.assert(
      fc.property(fc.oneof(tokens, json, fc.string()), (text) => {
        expect(orError(parseOwnJson, text)).toBe(orError(JSON.parse, text))
      }),
      { numRuns: 5000 },
    )
  })

  it.each([
    '9007199254740993',
    '2.0',
    '1.50',
    '-0',
    '1e2',
    '1E400',
    '0.1000',
    '123456789012345678901',
  ])('keeps the number %s as it is written', (text) => {
    const value = parseOwnJson(`{"a":[${text}]}`)
    expect(value).toEqual({ a: [new JsonNumber(text)] })
    expect(stringifyJson(value)).toBe(`{"a":[${text}]}`)
  })

  it('is written as JSON.stringify writes it', () => {
    const values = fc.jsonValue({ stringUnit: 'binary' })
    fc.assert(
      fc.property(values, (value) => {
        expect(stringifyJson(value)).toBe(JSON.stringify(value))
        expect(stringifyJson(value, '  ')).toBe(JSON.stringify(value, null, 2))
      }),
    )
    expect(stringifyJson({ a: undefined, b: [undefined] })).toBe('{"b":[null]}')
  })
})
