// What nitro-cli's own tests of vsock-proxy assert (vsock_proxy/src and vsock_proxy/tests of 1.5.0: names,
// IP versions, the allowlist, bytes both ways), written anew against the real program. Like those, it
// uses the names that every host has.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EchoEnclave } from '../fixtures/echo-enclave.ts'
import { callCloister, type Called } from '../fixtures/in-process-cli.ts'
import { dial, exchange, RunningProxy, serve, writeConfig } from '../fixtures/running-proxy.ts'
import { TestHost } from '../host.ts'

type RunningServer = Awaited<ReturnType<typeof serve>>

let host: TestHost
let enclave: EchoEnclave
let v4: RunningServer
let v6: RunningServer
let port: string

beforeAll(async () => {
  host = new TestHost()
  enclave = await EchoEnclave.start(host.runtime)
  ;[v4, v6] = await serveBoth()
  port = String(v4.port)
})

/** Servers of both versions at one port: one that is free for IPv4 may be taken for IPv6. */
async function serveBoth(attempts = 20): Promise<readonly [RunningServer, RunningServer]> {
  const first = await serve('127.0.0.1', 'v4 ')
  try {
    return [first, await serve('::1', 'v6 ', first.port)]
  } catch (error) {
    first.close()
    if (attempts === 1) throw error
    return serveBoth(attempts - 1)
  }
}

afterAll(async () => {
  v4.close()
  v6.close()
  await enclave[Symbol.asyncDispose]()
  host.discard()
})

function allow(...addresses: readonly string[]): readonly string[] {
  const entries = addresses.map((address) => `- {address: "${address}", port: ${port}}\n`)
  return ['--config', writeConfig(host, `allowlist:\n${entries.join('')}`)]
}

/** What a guest gets back that sends a word through a proxy with these arguments. */
async function ask(...args: readonly string[]): Promise<string> {
  await using _proxy = await RunningProxy.start(host, args)
  return (await exchange(dial(enclave, 8000), 'word')).toString()
}

/** For what ends by itself. */
function refused(...args: readonly string[]): Promise<Called> {
  const env = { CLOISTER_STATE_DIR: host.state, CLOISTER_RUNTIME_DIR: host.runtime }
  return callCloister(['vsock-proxy', ...args], env)
}

test('client and server send each other messages, more than any buffer holds', async () => {
  await using _proxy = await RunningProxy.start(host, [
    '8000',
    '127.0.0.1',
    port,
    ...allow('127.0.0.1'),
  ])
  const sent = randomBytes(1_000_000)
  const back = await exchange(dial(enclave, 8000), sent)
  expect(back.subarray(3).equals(sent)).toBe(true)
})

test.each([
  ['a name with addresses of both versions: IPv4 first', ['localhost'], [], 'v4 word'],
  ['IPv4 only', ['localhost'], ['-4'], 'v4 word'],
  ['IPv6 only', ['::1'], ['--ipv6'], 'v6 word'],
  ['an IPv6 literal in brackets', ['[::1]'], ['-w', '4'], 'v6 word'],
  ['an address that an allowed name has', ['127.0.0.1'], ['--num_workers', '1'], 'v4 word'],
])('%s', async (_, [address = ''], flags, answer) => {
  const allowed = address === '127.0.0.1' ? 'localhost' : address.replace(/[[\]]/g, '')
  expect(await ask(...flags, '8000', address, port, ...allow(allowed))).toBe(answer)
})

test.each([
  ['a name that does not exist', ['8000', 'name.invalid'], ['name.invalid'], 'ERR_PROXY_RESOLVE'],
  [
    'a server without an address of the version',
    ['-6', '8000', '127.0.0.1'],
    ['127.0.0.1'],
    'ERR_PROXY_RESOLVE',
  ],
  [
    'a server that is not in the allowlist',
    ['8000', '127.0.0.1'],
    ['127.0.0.2'],
    'ERR_PROXY_DENIED',
  ],
])('%s ends the program with status 1', async (_, args, allowed, code) => {
  const { status, stderr } = await refused(...args, port, ...allow(...allowed))
  expect({ status, stderr }).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(code) as string,
  })
})

test('a port of an allowed host that is not allowed, and a file that is not there, too', async () => {
  const other = await refused('8000', '127.0.0.1', '1', ...allow('127.0.0.1'))
  expect(other).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('ERR_PROXY_DENIED') as string,
  })
  const missing = await refused('8000', '127.0.0.1', port, '--config', '/no/such.yaml')
  expect(missing).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('ERR_PROXY_CONFIG') as string,
  })
})

test.each([
  [['port', '127.0.0.1', '443']],
  [['8000', '127.0.0.1', '65536']],
  [['8000', '127.0.0.1']],
  [['-4', '-6', '8000', '127.0.0.1', '443']],
  [['8000', '127.0.0.1', '443', '-w', '0']],
  [['8000', '127.0.0.1', '443', '--num-workers', '4']],
])('%j are not arguments: status 2', async (args) => {
  expect(await refused(...args)).toMatchObject({ status: 2 })
})

test("an alias makes it AWS's command in a script", async () => {
  allow('127.0.0.1')
  const { status, stderr } = await host.shell(
    `shopt -s expand_aliases; alias vsock-proxy='cloister vsock-proxy'
     vsock-proxy 8000 127.0.0.2 ${port} --config vsock-proxy.yaml`.replace('; alias', '\nalias'),
  )
  expect({ status, stderr }).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('ERR_PROXY_DENIED') as string,
  })
})
