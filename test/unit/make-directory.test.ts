// Making directories that a variable names, also where none can be made.

import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openDirectories } from '../../src/enclaves/index.ts'
import { makeDirectory } from '../../src/files/index.ts'
import { makeScratch } from '../fixtures/temporary-directory.ts'

test('makes what is missing above, for the owner alone, and leaves what is there', async () => {
  const path = join(await makeScratch(), 'a', 'b', 'c')
  makeDirectory(path)
  makeDirectory(path)
  for (const made of [path, join(path, '..')]) expect(statSync(made).mode & 0o777).toBe(0o700)
})

test('fails where nothing can be made, instead of trying for ever', async () => {
  const directories = {
    CLOISTER_STATE_DIR: await makeScratch(),
    CLOISTER_RUNTIME_DIR: '/proc/cloister/run',
  }
  expect(() => openDirectories(directories)).toThrow(
    expect.objectContaining({ code: 'ERR_KEEPER_DIRECTORY' }),
  )
  const file = join(await makeScratch(), 'file')
  writeFileSync(file, '')
  expect(() => {
    makeDirectory(join(file, 'below'))
  }).toThrow(expect.objectContaining({ code: 'ENOTDIR' }))
})
