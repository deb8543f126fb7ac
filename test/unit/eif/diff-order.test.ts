// When the sections of two images count as reordered: those that both have, and only those.

import { expect, test } from 'vitest'
import { diffEifs } from '../../../src/eif/index.ts'
import { sourceOfBytes } from '../../../src/files/index.ts'
import { assemble } from '../../fixtures/eif/golden.ts'

test.each([
  ['one more ramdisk', [0, 1, 2, 3, 4, 4], false],
  ['one ramdisk less', [0, 1, 2, 3], false],
  ['the metadata last', [0, 1, 3, 4, 2], true],
  ['the metadata last, and one more ramdisk', [0, 1, 3, 4, 4, 2], true],
  ['the command line first', [1, 0, 2, 3, 4], true],
])('%s', async (_what, sections, isReordered) => {
  const difference = await diffEifs(
    sourceOfBytes(assemble([0, 1, 2, 3, 4])),
    sourceOfBytes(assemble(sections)),
  )
  expect(difference.isReordered).toBe(isReordered)
})
