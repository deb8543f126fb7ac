// Byte strings as text.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeUtf8, equalBytes, fromHex, toHex } from '../src/bytes.ts'

describe('toHex', () => {
  test('is undone by fromHex, at any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        expect(equalBytes(fromHex(toHex(bytes)), bytes)).toBe(true)
      }),
    )
  })

  test('needs memory in proportion: a megabyte is no more work than its parts', () => {
    const part = toHex(Uint8Array.from({ length: 1024 }, (_, i) => i))
    const whole = Uint8Array.from({ length: 1 << 20 }, (_, i) => i)
    expect(toHex(whole) === part.repeat(1024)).toBe(true)
  })

  test('writes two lower-case digits for every byte', () => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    const expected = [...all].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    expect(toHex(all)).toBe(expected)
    expect(toHex(all, 10, 12)).toBe('0a0b')
  })
})

describe('decodeUtf8', () => {
  test('reads what TextEncoder writes, ASCII or not, short or long', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        expect(decodeUtf8(new TextEncoder().encode(text))).toBe(text)
      }),
    )
  })

  test('refuses bytes that are not UTF-8', () => {
    for (const hex of ['80', '61ff', 'c080', 'eda080']) {
      expect(() => decodeUtf8(fromHex(hex))).toThrow(TypeError)
    }
  })
})
