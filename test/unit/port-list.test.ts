// Port lists: what people may write.

import { expect, test } from 'vitest'
import { checkPortList, listsPort } from '../../src/vsock/index.ts'

test.each(
  ['none', 'all', '8000', '0', '4294967295', '9100-9110,8000', '5-9,1-20,15-30', '7,7'].map(
    (text) => [text],
  ),
)('%s is a port list', (text) => {
  expect(checkPortList(text)).toBe(text)
})

test.each(
  [
    ...['', ' ', 'x', '1-', '-1', '2-1', '+1', '1,', ',1', '1 2', ' 1', '1\n', 'ALL', 'all,1'],
    ...['1--2', '1-2-3', '4294967296', '00000000001', '1.5', '0x10', '1e3', '١', 'none,none'],
  ].map((text) => [text]),
)('%o is not a port list', (text) => {
  expect(() => checkPortList(text)).toThrow(
    expect.objectContaining({ code: 'ERR_VSOCK_PORTS' }) as Error,
  )
})

test('a port list has no more ranges than the card takes', () => {
  const sparse = (count: number): string =>
    Array.from({ length: count }, (_, n) => String(n * 2)).join(',')
  expect(checkPortList(sparse(256))).toBe(sparse(256))
  expect(() => checkPortList(sparse(257))).toThrow(
    expect.objectContaining({ code: 'ERR_VSOCK_PORTS' }) as Error,
  )
})

test.each([
  ['all', 0, true],
  ['none', 0, false],
  ['8000', 8000, true],
  ['8000', 800, false],
  ['9100-9110,8000', 9110, true],
  ['9100-9110,8000', 9111, false],
  ['9100-9110,8000', 9099, false],
])('whether %s has port %i: %s', (list, port, expected) => {
  expect(listsPort(list, port)).toBe(expected)
})
