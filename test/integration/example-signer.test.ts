// `npm run example:signer`: the walk of enclave-images/signer/README.md, with real parts.

import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test('a signing key opens in the measured image, not on the host and not in a changed image', async () => {
  const script = resolve(import.meta.dirname, '../../scripts/example-signer.mjs')
  const directories = { CLOISTER_STATE_DIR: host.state, CLOISTER_RUNTIME_DIR: host.runtime }
  const env = { ...process.env, ...directories, TMPDIR: host.directory }
  const { stdout } = await promisify(execFile)(process.execPath, [script], { env })
  expect(stdout.split('\n').filter((line) => /: (denied|granted)\.$/.test(line))).toEqual([
    '6. Decrypt it on the host: denied.',
    '7. Decrypt it in the enclave: granted.',
    '10. Change the image, start it, and decrypt the key there: denied.',
    '11. Let another broker answer in the place of the first: denied.',
  ])
  expect(stdout).toMatch(/The signing key opened in the measured image, and nowhere else\.\n$/)
})
