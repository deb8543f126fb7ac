// Programs that were not written for Cloister, in production mode, driven by the command line: what
// they print, how they end, and a document that verifies.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { goRootfs, pythonRootfs } from '../fixtures/strangers.ts'
import { TestHost } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

test("a script for Debian's Python prints, answers on vsock, and its exit status arrives", async () => {
  const rootfs = await pythonRootfs(host.directory, 'print-and-exit.py')
  const words = ['--entrypoint', '/usr/bin/python3', '/app.py']
  const eif = await host.build('python', '--rootfs', rootfs, ...words)
  const { EnclaveID, Flags } = await host.start(eif)
  expect(Flags).toBe('NONE')
  const ask = 'echo 7 | cloister connect --enclave-name python --port 5005 --timeout 120'
  expect(await host.shell(ask)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^Python 3\.\d+\n$/) as string,
  })
  const state = async (): Promise<string> => (await host.describe(EnclaveID)).State
  await expect.poll(state, { timeout: 20_000 }).toBe('TERMINATED')
  expect((await host.describe(EnclaveID)).End).toMatchObject({ First: 'app', ExitCode: 7 })
})

test('a static Go web server on published libraries answers with a document that verifies', async () => {
  const rootfs = await goRootfs(host.directory, 'http-attestation')
  const eif = join(host.directory, 'go.eif')
  const words = ['--rootfs', rootfs, '--entrypoint', '/http-attestation', '--output-file', eif]
  writeFileSync(join(host.directory, 'go.json'), JSON.stringify(await host.json('build', ...words)))
  expect((await host.start(eif)).Flags).toBe('NONE')
  // The document is what follows the head of the HTTP answer.
  const ask = `printf 'GET /attestation?nonce=00010203 HTTP/1.0\\r\\n\\r\\n' |
    cloister connect --enclave-name go --port 5005 --timeout 120 | sed -b '1,/^\\r$/d' > document.cbor
    cloister verify --document document.cbor --root '${host.state}/authority/root.pem' \
      --nonce 00010203 --measurements go.json --tpm-evidence require`
  const { status, stdout, stderr } = await host.shell(ask)
  expect(status, stderr).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ Verified: true, Debug: false, Nonce: '00010203' })
})
