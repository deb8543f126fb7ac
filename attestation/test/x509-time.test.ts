// Times of certificates, one by one.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DerReader } from '../src/x509/der.ts'
import { readTime } from '../src/x509/time.ts'
import { expectCode } from './expect-error.ts'
import { der, time } from './issuer/der-writer.ts'

const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18

const read = (tag: number, text: string): number =>
  readTime(new DerReader(der(tag, new TextEncoder().encode(text))))

describe('readTime', () => {
  test('reads every second from 1950 to 9999', () => {
    const seconds = fc.integer({
      min: Date.UTC(1950, 0) / 1000,
      max: Date.UTC(9999, 11, 31, 23, 59, 59) / 1000,
    })
    fc.assert(
      fc.property(seconds, (second) => {
        expect(readTime(new DerReader(time(second * 1000)))).toBe(second * 1000)
      }),
    )
  })

  const wrong: readonly [claim: string, tag: number, text: string][] = [
    ['a day that the month lacks', UTC_TIME, '260230000000Z'],
    ['February 29 of a common year', UTC_TIME, '270229000000Z'],
    ['month 0', UTC_TIME, '260001000000Z'],
    ['month 13', UTC_TIME, '261301000000Z'],
    ['day 0', UTC_TIME, '260100000000Z'],
    ['hour 24', UTC_TIME, '260101240000Z'],
    ['minute 60', UTC_TIME, '260101006000Z'],
    ['second 60', UTC_TIME, '260101000060Z'],
    ['another zone', UTC_TIME, '2601010000+0100'],
    ['no zone', UTC_TIME, '2601010000000'],
    ['no seconds', UTC_TIME, '2601010000Z'],
    ['a letter', UTC_TIME, '26010100000xZ'],
    ['a sign', UTC_TIME, '26010100-100Z'],
    ['nothing', UTC_TIME, ''],
    ['GeneralizedTime before 2050', GENERALIZED_TIME, '20491231235959Z'],
    ['GeneralizedTime with a fraction', GENERALIZED_TIME, '20500101000000.5Z'],
    ['GeneralizedTime with a short year', GENERALIZED_TIME, '500101000000Z'],
  ]
  for (const [claim, tag, text] of wrong) {
    test(`refuses ${claim}`, async () => {
      await expectCode(() => read(tag, text), 'ERR_X509_FORMAT')
    })
  }
})
