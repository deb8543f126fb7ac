// A root file system image that is damaged: the start ends with a code and the agent's words, and nothing
// hangs or stays.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { flipped, squashfsOffset } from '../fixtures/eif-bytes.ts'
import { helloRootfs, TestHost } from '../host.ts'

/** Offsets in the image: `bytes_used` in the superblock, and the first block of the first file. */
const BYTES_USED = 40
const FIRST_BLOCK = 96

let host: TestHost
let image: Buffer

beforeAll(async () => {
  host = new TestHost()
  const source = ['--rootfs', helloRootfs, '--entrypoint', '/hello']
  image = readFileSync(await host.build('hello', ...source, '--root', 'squashfs'))
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test.each([
  ['its superblock', BYTES_USED + 4, "mount the root file system's image"],
  ["the app's program", FIRST_BLOCK + 8, 'start /hello'],
])('damage to %s ends the start with the step that failed', async (_, offset, step) => {
  const file = join(host.directory, 'damaged.eif')
  writeFileSync(file, flipped(image, squashfsOffset(image) + offset, true))
  const result = await host.run('run-enclave', '--eif-path', file, '--memory', '128')
  expect(result.stdout).toBe('')
  expect(result.stderr).toContain('ERR_BOOT_AGENT')
  expect(result.stderr).toContain(step)
  expect(host.leftovers()).toEqual([])
})
