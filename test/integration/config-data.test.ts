// Configuration at run time in production mode: from run-enclave's flag to what a Python program finds
// and to what its documents say.

import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { guestProgram, guestReport } from '../fixtures/guest-program.ts'
import { pythonRootfs } from '../fixtures/strangers.ts'
import { helloRootfs, TestHost, type DescribedEnclave } from '../host.ts'

const PLACE = '/run/cloister/config'
const CMDLINE =
  'reboot=t panic=-1 console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12 no_timer_check'

let host: TestHost
let rootfs: string

beforeAll(async () => {
  host = new TestHost()
  rootfs = await pythonRootfs(host.directory, 'config-data.py')
  cpSync(join(helloRootfs, 'hello'), join(rootfs, 'hello'))
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

function image(name: string, ...args: readonly string[]): Promise<string> {
  const program = ['--entrypoint', '/usr/bin/python3', '/app.py']
  return host.build(name, '--rootfs', rootfs, ...program, ...args)
}

/** Where the verifier finds a fresh document of the enclave. */
async function documentOf({ VsockSocket }: DescribedEnclave): Promise<string> {
  const path = host.path('document.cbor')
  writeFileSync(path, await requestDocument(VsockSocket, Uint8Array.of(5)))
  return path
}

function verify(document: string, ...args: readonly string[]) {
  const root = join(host.state, 'authority/root.pem')
  return host.run('verify', '--document', document, '--root', root, ...args)
}

const pcr16Of = async (path: string): Promise<string> =>
  (await host.json<{ readonly PCR16: string }>('pcr', '--config-data', path)).PCR16

test('a directory is there for the app alone to read, and its documents say which it was', async () => {
  const config = host.path('config')
  mkdirSync(config)
  writeFileSync(join(config, 'settings.json'), 'region: eu-central-1')
  writeFileSync(join(config, 'empty'), '')
  const eif = await image('directory', '--user', '1000:1000')
  const enclave = await host.start(eif, '--memory', '160', '--config-data', config)
  expect(await guestReport(enclave.VsockSocket)).toEqual([
    'user 1000',
    `${PLACE} 40555 0:0`,
    `${PLACE}/empty 100444 0:0`,
    ...['0 ', 'open: Permission denied', 'chmod: Read-only file system'],
    `${PLACE}/settings.json 100444 0:0`,
    '20 region: eu-central-1',
    ...['open: Permission denied', 'chmod: Read-only file system'],
    'unlink: Permission denied',
    'new file: Read-only file system',
  ])
  const PCR16 = await pcr16Of(config)
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({
    Flags: 'NONE',
    ConfigData: { PCR16, Bytes: 20, Files: ['empty', 'settings.json'] },
  })
  const document = await documentOf(enclave)
  const evidence = ['--tpm-evidence', 'require']
  const verified = await verify(document, ...evidence, '--pcr', `16=${PCR16}`)
  expect(verified.status, verified.stderr).toBe(0)
  expect(JSON.parse(verified.stdout)).toMatchObject({ Measurements: { PCR16 } })
  writeFileSync(join(config, 'settings.json'), 'region: eu-central-2')
  const other = await verify(document, ...evidence, '--pcr', `16=${await pcr16Of(config)}`)
  expect(other.stderr).toContain('ERR_PCR_MISMATCH')
})

test('without configuration there is nothing, and PCR16 is not in the documents', async () => {
  const enclave = await host.start(await image('none'), '--memory', '160')
  expect(await guestReport(enclave.VsockSocket)).toEqual(['user 0', 'nothing'])
  expect(await host.describe(enclave.EnclaveID)).not.toHaveProperty('ConfigData')
  const document = await documentOf(enclave)
  const refused = await verify(document, '--pcr', `16=${'0'.repeat(96)}`)
  expect(refused.stderr).toContain('ERR_PCR_MISSING')
})

test('a file of 64 KiB takes the place of what the image has there, and root cannot write to it', async () => {
  const config = host.path('large')
  writeFileSync(config, 'x'.repeat(65_536))
  mkdirSync(join(rootfs, PLACE), { recursive: true })
  writeFileSync(join(rootfs, PLACE, 'own'), "the image's own")
  const enclave = await host.start(await image('file'), '--memory', '160', '--config-data', config)
  expect(await guestReport(enclave.VsockSocket)).toEqual([
    'user 0',
    `${PLACE} 100444 0:0`,
    `65536 ${'x'.repeat(32)}`,
    ...['open', 'chmod'].map((it) => `${it}: Read-only file system`),
    'unlink: Device or resource busy',
    'new file: Not a directory',
  ])
  const document = await documentOf(enclave)
  expect((await verify(document, '--pcr', `16=${await pcr16Of(config)}`)).status).toBe(0)
})

test('an image that starts its app without asking for its configuration is ended', async () => {
  const init = await guestProgram('probe')
  const eif = await host.build(
    'deaf',
    ...['--rootfs', helloRootfs, '--entrypoint', '/hello', '--init', init],
    ...['--cmdline', `${CMDLINE} -- hostile-agent unconfigured`],
  )
  const config = host.path('large')
  const result = await host.run('run-enclave', '--eif-path', eif, '--config-data', config)
  expect(result).toMatchObject({ status: 39, stdout: '' })
  expect(result.stderr).toContain('ERR_KEEPER_CONFIG_DATA')
})
