// Errors: the generated page is up to date, and every code is one that the sources throw.

import { expect, test } from 'vitest'
import { renderErrors } from '../../scripts/errors-doc.mjs'
import { errorTable } from '../../src/index.ts'
import page from '../../docs/errors.md?raw'

const sources = import.meta.glob<string>(['../../src/**/*.ts', '../../node/**/*.ts'], {
  eager: true,
  import: 'default',
  query: '?raw',
})

test('docs/errors.md is what the table gives', () => {
  expect(page).toBe(renderErrors(errorTable))
})

test('every code of the table is thrown somewhere', () => {
  const text = Object.entries(sources)
    .filter(([file]) => !file.endsWith('error-table.ts'))
    .map(([, source]) => source.replace(/^\s*(\*|\/\/|\/\*).*$/gm, ''))
    .join('\n')
  const unused = Object.keys(errorTable).filter((code) => !text.includes(`'${code}'`))
  expect(unused).toEqual([])
})
