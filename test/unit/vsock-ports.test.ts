// Sets of ports: what people may write, and what opening and closing makes of a policy.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  closedNsmCardPolicy,
  closedPolicy,
  closePorts,
  openPorts,
  policyTexts,
} from '../../src/vsock/port-policy.ts'
import {
  addPorts,
  formatPortSet,
  parsePortSet,
  removePorts,
  type PortSet,
} from '../../src/vsock/port-set.ts'

const LAST = 0xffffffff

function ports(parentPorts: string, guestPorts: string): Parameters<typeof openPorts>[0] {
  return { parentPorts: parsePortSet(parentPorts), guestPorts: parsePortSet(guestPorts) }
}

describe('a set of ports', () => {
  test.each([
    ['none', 'none'],
    ['all', 'all'],
    ['8000', '8000'],
    ['0', '0'],
    ['4294967295', '4294967295'],
    ['9100-9110,8000', '8000,9100-9110'],
    ['1,2,3', '1-3'],
    ['5-9,1-20,15-30', '1-30'],
    ['7,7', '7'],
    ['0-4294967295', 'all'],
    ['0-7,8-4294967295', 'all'],
  ])('%s is %s', (text, normal) => {
    expect(formatPortSet(parsePortSet(text))).toBe(normal)
  })

  test.each(
    [
      ...['', ' ', 'x', '1-', '-1', '2-1', '+1', '1,', ',1', '1 2', ' 1', '1\n', 'ALL', 'all,1'],
      ...['1--2', '1-2-3', '4294967296', '00000000001', '1.5', '0x10', '1e3', '١', 'none,none'],
    ].map((text) => [text]),
  )('%o is none', (text) => {
    expect(() => parsePortSet(text)).toThrow(
      expect.objectContaining({ code: 'ERR_VSOCK_PORTS' }) as Error,
    )
  })

  test('has no more ranges than the card takes', () => {
    const sparse = (count: number): string =>
      Array.from({ length: count }, (_, n) => String(n * 2)).join(',')
    expect(parsePortSet(sparse(256))).toHaveLength(256)
    const tooMany = expect.objectContaining({ code: 'ERR_VSOCK_PORTS' }) as Error
    expect(() => parsePortSet(sparse(257))).toThrow(tooMany)
    expect(() => addPorts(parsePortSet(sparse(256)), parsePortSet('10000'))).toThrow(tooMany)
    const most = removePorts(parsePortSet('all'), parsePortSet(sparse(256)))
    expect(() => removePorts(most, parsePortSet('20000'))).toThrow(tooMany)
  })

  test('survives its text, and adding and removing do what they say', () => {
    const port = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(LAST - 1, LAST))
    const range = fc.tuple(port, port).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`)
    const set = fc
      .array(range, { maxLength: 6 })
      .map((items) => parsePortSet(items.join(',') || 'none'))
    const has = (ranges: PortSet, wanted: number): boolean =>
      ranges.some(({ first, last }) => first <= wanted && wanted <= last)
    fc.assert(
      fc.property(set, set, port, (a, b, probe) => {
        expect(parsePortSet(formatPortSet(a))).toEqual(a)
        expect(has(addPorts(a, b), probe)).toBe(has(a, probe) || has(b, probe))
        expect(has(removePorts(a, b), probe)).toBe(has(a, probe) && !has(b, probe))
        expect(parsePortSet(formatPortSet(removePorts(a, b)))).toEqual(removePorts(a, b))
      }),
    )
  })
})

describe('a policy', () => {
  test('is closed but for the reserved ports of the parent', () => {
    expect(policyTexts(closedPolicy)).toEqual({ parentPorts: '9000-9002', guestPorts: 'none' })
  })

  test('keeps what is open when more is opened', () => {
    const policy = openPorts(openPorts(closedPolicy, ports('8000', '5005')), ports('9003', 'none'))
    expect(policyTexts(policy)).toEqual({ parentPorts: '8000,9000-9003', guestPorts: '5005' })
  })

  test('never loses the reserved ports', () => {
    const open = openPorts(closedPolicy, ports('all', 'all'))
    expect(policyTexts(closePorts(open, ports('all', 'all')))).toEqual(policyTexts(closedPolicy))
    expect(policyTexts(closePorts(open, ports('9001', '7'))).parentPorts).toBe('all')
    expect(policyTexts(closePorts(open, ports('8999-9001', '7')))).toEqual({
      parentPorts: '0-8998,9000-4294967295',
      guestPorts: '0-6,8-4294967295',
    })
  })

  test('has the port of the NSM closed where a card serves it, and whoever opened it can close it', () => {
    const reserved = policyTexts(closedNsmCardPolicy)
    expect(reserved.parentPorts).toBe('9000,9002')
    const open = openPorts(closedNsmCardPolicy, ports('9001', 'none'))
    const closed = closePorts(open, ports('all', 'all'), closedNsmCardPolicy)
    expect(policyTexts(closed)).toEqual(reserved)
  })
})
