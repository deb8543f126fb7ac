// What the strict CBOR decoder refuses, and its bounds.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromHex } from '../src/bytes.ts'
import { AttestationError, decodeCbor } from '../src/cbor/index.ts'
import type { AttestationErrorCode } from '../src/index.ts'
import { expectCode } from './expect-error.ts'
import { encodeCbor, type Encodable } from './issuer/cbor-writer.ts'

const refused: readonly [claim: string, hex: string, code: AttestationErrorCode][] = [
  ['an empty input', '', 'ERR_CBOR_TRUNCATED'],
  ['an integer in 2 bytes that fits in 1', '1817', 'ERR_CBOR_NOT_MINIMAL'],
  ['an integer in 3 bytes that fits in 2', '1900ff', 'ERR_CBOR_NOT_MINIMAL'],
  ['an integer in 5 bytes that fits in 3', '1a0000ffff', 'ERR_CBOR_NOT_MINIMAL'],
  ['an integer in 9 bytes that fits in 5', '1b00000000ffffffff', 'ERR_CBOR_NOT_MINIMAL'],
  ['a string length that is not minimal', '580161', 'ERR_CBOR_NOT_MINIMAL'],
  ['a duplicate text key', 'a2616101616102', 'ERR_CBOR_DUPLICATE_KEY'],
  ['a duplicate integer key', 'a201010102', 'ERR_CBOR_DUPLICATE_KEY'],
  ['a byte string as a key', 'a1414101', 'ERR_CBOR_KEY_TYPE'],
  ['an array as a key', 'a18001', 'ERR_CBOR_KEY_TYPE'],
  ['a lone continuation byte in text', '6180', 'ERR_CBOR_INVALID_UTF8'],
  ['an overlong slash in text', '62c0af', 'ERR_CBOR_INVALID_UTF8'],
  ['a surrogate in text', '63eda080', 'ERR_CBOR_INVALID_UTF8'],
  ['reserved additional information', '1c', 'ERR_CBOR_UNSUPPORTED'],
  ['false in two bytes', 'f814', 'ERR_CBOR_UNSUPPORTED'],
  ['a stray break', 'ff', 'ERR_CBOR_UNSUPPORTED'],
  ['a break inside an array', '81ff', 'ERR_CBOR_UNSUPPORTED'],
  ['a regular expression (tag 27)', 'd81b82667265676578706161', 'ERR_CBOR_UNSUPPORTED'],
  ['a shared reference (tag 28)', 'd81c81d81d00', 'ERR_CBOR_UNSUPPORTED'],
  ['a record (tag 105)', 'd869838019012c80', 'ERR_CBOR_UNSUPPORTED'],
  ['a byte string longer than the input', '5affffffff', 'ERR_CBOR_TRUNCATED'],
  ['an array longer than the input', '9b7fffffffffffffff', 'ERR_CBOR_TRUNCATED'],
  ['a map longer than the input', 'ba00ffffff00', 'ERR_CBOR_TRUNCATED'],
  ['17 arrays in each other', `${'81'.repeat(17)}00`, 'ERR_CBOR_TOO_DEEP'],
  ['100000 arrays in each other', '81'.repeat(65536), 'ERR_CBOR_TOO_DEEP'],
  ['an input of more than maxBytes', '00'.repeat(65537), 'ERR_CBOR_TOO_LONG'],
  ['more than 4096 items', `991001${'00'.repeat(4097)}`, 'ERR_CBOR_TOO_LONG'],
]

describe('decodeCbor', () => {
  for (const [claim, hex, code] of refused) {
    test(`refuses ${claim}`, async () => {
      await expectCode(() => decodeCbor(fromHex(hex)), code)
    })
  }

  test('keeps 1 and "1" apart as keys, and __proto__ as an ordinary key', () => {
    const map = decodeCbor(fromHex('a30101613102695f5f70726f746f5f5f03'))
    expect(map).toEqual(
      new Map<unknown, number>([
        [1, 1],
        ['1', 2],
        ['__proto__', 3],
      ]),
    )
  })

  test('keeps a byte order mark in text', () => {
    expect(decodeCbor(fromHex('63efbbbf'))).toBe('\ufeff')
  })

  test('gives integers as numbers up to the safe limit and as bigints beyond it', () => {
    expect(decodeCbor(fromHex('1b001fffffffffffff'))).toBe(Number.MAX_SAFE_INTEGER)
    expect(decodeCbor(fromHex('1b0020000000000000'))).toBe(2n ** 53n)
    expect(decodeCbor(fromHex('3b001ffffffffffffe'))).toBe(Number.MIN_SAFE_INTEGER)
    expect(decodeCbor(fromHex('3b001fffffffffffff'))).toBe(-(2n ** 53n))
  })

  test('decodes a listed tag and refuses another', async () => {
    expect(decodeCbor(fromHex('d200'), { tags: [18] })).toEqual({ tag: 18, value: 0 })
    await expectCode(() => decodeCbor(fromHex('d100'), { tags: [18] }), 'ERR_CBOR_UNSUPPORTED')
  })

  test('gives the offset of what is wrong', () => {
    expect(() => decodeCbor(fromHex('8301021803'))).toThrow(
      expect.objectContaining({ details: { offset: 3 } }),
    )
  })
})

describe('decodeCbor with indefiniteTopLevelMap', () => {
  const options = { indefiniteTopLevelMap: true }

  test('takes bf … ff as the outermost map, and definite maps too', () => {
    const expected = new Map([['a', 1]])
    expect(decodeCbor(fromHex('bf616101ff'), options)).toEqual(expected)
    expect(decodeCbor(fromHex('a1616101'), options)).toEqual(expected)
    expect(decodeCbor(fromHex('bfff'), options)).toEqual(new Map())
  })

  const wrong: readonly [claim: string, hex: string, code: AttestationErrorCode][] = [
    ['an indefinite map inside', 'bf6161bfffff', 'ERR_CBOR_INDEFINITE_LENGTH'],
    ['an indefinite array', '9fff', 'ERR_CBOR_INDEFINITE_LENGTH'],
    ['an indefinite byte string inside', 'bf61615f4100ffff', 'ERR_CBOR_INDEFINITE_LENGTH'],
    ['a map without its break', 'bf616101', 'ERR_CBOR_TRUNCATED'],
    ['a break after a key', 'bf6161ff', 'ERR_CBOR_UNSUPPORTED'],
    ['a duplicate key', 'bf616101616102ff', 'ERR_CBOR_DUPLICATE_KEY'],
    ['a byte after the break', 'bfff00', 'ERR_CBOR_TRAILING_BYTES'],
  ]
  for (const [claim, hex, code] of wrong) {
    test(`refuses ${claim}`, async () => {
      await expectCode(() => decodeCbor(fromHex(hex), options), code)
    })
  }
})

const key = fc.oneof(fc.maxSafeInteger(), fc.string({ unit: 'binary', maxLength: 8 }))
const { item } = fc.letrec<{ item: Encodable }>((tie) => ({
  item: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      fc.maxSafeInteger(),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie('item'), { maxLength: 6 }),
    fc.array(fc.tuple(key, tie('item')), { maxLength: 6 }).map((entries) => new Map(entries)),
  ),
}))

describe('decodeCbor, for any input', () => {
  test('decodes what was encoded to the same value', () => {
    const options = { maxDepth: 1000 }
    fc.assert(
      fc.property(item, (value) => {
        expect(decodeCbor(encodeCbor(value), options)).toEqual(value)
      }),
    )
  })

  test('decodes random bytes or throws a coded error, and re-encodes what it decoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        let value
        try {
          value = decodeCbor(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(AttestationError)
          return
        }
        expect([...encodeCbor(value as Encodable)]).toEqual([...bytes])
      }),
      { numRuns: 5000 },
    )
  })

  test('nests no deeper than the stack, whatever `maxDepth` says', async () => {
    const options = { maxDepth: 1_000_000, maxItems: 1_000_000, tags: [6] }
    for (const initial of [0x81, 0xa1, 0xc6]) {
      const bytes = new Uint8Array(60_000).fill(initial)
      await expectCode(() => decodeCbor(bytes, options), 'ERR_CBOR_TOO_DEEP')
    }
    const nested = new Uint8Array(1001).fill(0x81)
    nested[1000] = 0
    expect(Array.isArray(decodeCbor(nested, options))).toBe(true)
  })
})
