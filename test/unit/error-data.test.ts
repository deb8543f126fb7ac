// Errors across process borders: whole, bounded, and harmless when they are malformed.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromData, toData } from '../../src/error-data.ts'
import { CloisterError } from '../../src/errors.ts'

const overTheWire = (error: unknown): unknown => JSON.parse(JSON.stringify(toData(error)))

describe('an error that crosses a border', () => {
  test('keeps its code, message, hint, details and the whole chain of its causes', () => {
    const root = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
    const middle = new CloisterError('ERR_CHIP_TPM_START', 'swtpm did not start', {
      cause: root,
      details: { swtpm: 'disk full' },
    })
    const error = new CloisterError('ERR_KEEPER_MEMORY', 'too little', {
      cause: middle,
      hint: 'Use 200.',
      details: { needed: 200n, digest: Uint8Array.of(1, 255), absent: undefined, list: [1, 'a'] },
    })
    const arrived = fromData(overTheWire(error), 'ERR_INTERNAL')
    expect(arrived).toMatchObject({
      code: 'ERR_KEEPER_MEMORY',
      message: 'too little',
      hint: 'Use 200.',
      details: { needed: '200', digest: '01ff', list: [1, 'a'] },
      cause: { code: 'ERR_CHIP_TPM_START', details: { swtpm: 'disk full' } },
    })
    expect((arrived.cause as Error).cause).toMatchObject({ code: 'ENOSPC', message: root.message })
    expect(arrived.stack).toBe(error.stack)
  })

  test('that nobody coded becomes the fallback, with its message', () => {
    expect(fromData(overTheWire(new TypeError('x is not y')), 'ERR_INTERNAL')).toMatchObject({
      code: 'ERR_INTERNAL',
      message: 'x is not y',
    })
    expect(fromData(overTheWire('thrown text'), 'ERR_INTERNAL').message).toBe('thrown text')
    const failures = new AggregateError([new Error('the first')], 'several')
    expect(fromData(overTheWire(failures), 'ERR_INTERNAL').cause).toMatchObject({
      message: 'the first',
    })
  })

  test('with a code of another version keeps its message, and this version has advice', () => {
    const data = { code: 'ERR_FROM_TOMORROW', message: 'm', hint: 'Do what tomorrow does.' }
    const arrived = fromData(data, 'ERR_KEEPER_CONTROL')
    expect(arrived).toMatchObject({ code: 'ERR_KEEPER_CONTROL', message: 'm' })
    expect(arrived.hint).not.toContain('tomorrow')
  })
})

describe('what a hostile process sends', () => {
  test('is bounded, however long, wide, deep or endless the error is', () => {
    const endless = new Error('round')
    endless.cause = endless
    const deep: Record<string, unknown> = {}
    deep['self'] = deep
    const wide = Object.fromEntries(Array.from({ length: 1e5 }, (_, n) => [`k${String(n)}`, n]))
    const long = 'x'.repeat(1e6)
    for (const error of [
      endless,
      new CloisterError('ERR_INTERNAL', long, { hint: long, details: { long, deep, wide } }),
      new CloisterError('ERR_INTERNAL', 'm', { details: { many: Array(1e5).fill(long) } }),
    ]) {
      expect(JSON.stringify(toData(error)).length).toBeLessThan(400_000)
      const details = { long, wide, more: [[[[[[wide]]]]]] }
      const arrived = fromData({ message: long, code: long, details }, 'ERR_INTERNAL')
      expect(JSON.stringify(toData(arrived)).length).toBeLessThan(400_000)
    }
  })

  test('never makes reading it fail, whatever JSON it is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        expect(fromData(value, 'ERR_KEEPER_CONTROL')).toBeInstanceOf(CloisterError)
      }),
    )
    for (const key of ['message', 'code', 'hint', 'details', 'stack', 'cause']) {
      fc.assert(
        fc.property(fc.jsonValue(), (value) => {
          const arrived = fromData({ message: 'm', [key]: value }, 'ERR_KEEPER_CONTROL')
          expect(arrived).toBeInstanceOf(CloisterError)
          expect(typeof arrived.message).toBe('string')
        }),
      )
    }
  })

  test('cannot pass as a property of every object', () => {
    const data = { message: 'm', code: 'constructor' }
    expect(fromData(data, 'ERR_KEEPER_CONTROL').code).toBe('ERR_KEEPER_CONTROL')
  })
})
