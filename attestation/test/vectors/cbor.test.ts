// RFC 8949 Appendices A and F: every example is accepted or refused by the rule in cbor/SOURCE.md.

import { describe, expect, test } from 'vitest'
import { fromHex, toHex } from '../../src/bytes.ts'
import { decodeCbor } from '../../src/cbor/index.ts'
import { expectCode } from '../expect-error.ts'
import { encodeCbor, type Encodable } from '../issuer/cbor-writer.ts'
import { appendixA } from './cbor/appendix-a.ts'
import { appendixF } from './cbor/appendix-f.ts'

describe('RFC 8949 Appendix A', () => {
  for (const example of appendixA) {
    if ('refused' in example) {
      test(`refuses ${example.hex}`, async () => {
        await expectCode(() => decodeCbor(fromHex(example.hex)), example.refused)
      })
      continue
    }
    test(`decodes ${example.hex} and encodes it to the same bytes`, () => {
      const value = decodeCbor(fromHex(example.hex))
      expect(value).toEqual(example.value)
      expect(toHex(encodeCbor(value as Encodable))).toBe(example.hex)
    })
    test(`refuses every truncation of ${example.hex}, and a byte after it`, async () => {
      const bytes = fromHex(example.hex)
      for (let length = 0; length < bytes.length; length++) {
        await expectCode(() => decodeCbor(bytes.slice(0, length)), 'ERR_CBOR_TRUNCATED')
      }
      await expectCode(() => decodeCbor(fromHex(`${example.hex}00`)), 'ERR_CBOR_TRAILING_BYTES')
    })
  }
})

describe('RFC 8949 Appendix F', () => {
  for (const { group, items, refused, asDocument = refused } of appendixF) {
    test(`refuses ${group}`, async () => {
      for (const hex of items.split(' ')) {
        await expectCode(() => decodeCbor(fromHex(hex)), refused)
        const options = { indefiniteTopLevelMap: true }
        await expectCode(() => decodeCbor(fromHex(hex), options), asDocument)
      }
    })
  }
})
