// Port lists: what people may write.

import { expect, test } from 'vitest'
import { checkPortList } from '../../src/vsock/index.ts'

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
