import { expect, test } from 'vitest'
import { encodeCmdline } from '../../../src/eif/cmdline.ts'

test.each([
  ['a NUL', 'a\0b'],
  ['a line break', 'a\nb'],
  ['a tab', 'a\tb'],
  ['UTF-8', 'ä'],
  ['a byte too many', 'x'.repeat(2048)],
])('a command line with %s is not written', (_, cmdline) => {
  const error = expect.objectContaining({ code: 'ERR_EIF_CMDLINE' }) as Error
  expect(() => encodeCmdline(cmdline)).toThrow(error)
})

test('a command line of 2047 characters is written as it is', () => {
  expect(encodeCmdline('x'.repeat(2047))).toHaveLength(2047)
})
