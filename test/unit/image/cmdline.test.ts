// The command line exists twice: in the build of the images' parts, and here for other kernels.

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { DEFAULT_CMDLINE } from '../../../src/image/ramdisk/platform-blobs.ts'

test('our kernel and another one get the same command line', () => {
  const script = resolve(import.meta.dirname, '../../../enclave-images/build.sh')
  const [, cmdline] = /^readonly cmdline='(.*)'$/m.exec(readFileSync(script, 'utf8')) ?? []
  expect(cmdline).toBe(DEFAULT_CMDLINE)
})
