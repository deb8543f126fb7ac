// cloister-parent prints its failures itself, when this process is no longer there.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { errorTable } from '../../src/error-table.ts'

const source = readFileSync(
  new URL('../../parent/src/failure.rs', import.meta.url),
  'utf8',
).replaceAll(/\\\n\s*/g, '')

test('cloister-parent prints the codes and hints of the error table', () => {
  const rows = Object.entries(errorTable).filter(([code]) => code.startsWith('ERR_PARENT_'))
  expect(rows).toHaveLength(4)
  for (const [code, { hint }] of rows) {
    expect(source).toContain(`"${code}"`)
    expect(source).toContain(hint)
  }
})
