// vsock-proxy beyond AWS's: many targets and enclaves, turns, reloads, clashes, metrics. The enclaves need
// no machine; ports.test.ts has it with a real guest.

import { existsSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectHeldUp } from '../fixtures/back-pressure.ts'
import { EchoEnclave } from '../fixtures/echo-enclave.ts'
import { parseExposition } from '../fixtures/exposition.ts'
import { callCloister, type Called } from '../fixtures/in-process-cli.ts'
import { once } from '../fixtures/once.ts'
import {
  dial,
  exchange,
  RunningProxy,
  serve,
  untilEnd,
  writeConfig,
} from '../fixtures/running-proxy.ts'
import { TestHost } from '../host.ts'

type RunningServer = Awaited<ReturnType<typeof serve>>

let host: TestHost
let enclave: EchoEnclave
let one: RunningServer
let two: RunningServer
let proxy: RunningProxy
let config: string

const target = (localPort: number, { port }: { readonly port: number }, more = ''): string =>
  `- {local_port: ${String(localPort)}, address: 127.0.0.1, port: ${String(port)}${more}}\n`

beforeAll(async () => {
  host = new TestHost()
  enclave = await EchoEnclave.start(host.runtime)
  one = await serve('127.0.0.1', 'one ')
  two = await serve('127.0.0.1', 'two ')
  const nobody = { port: 1 } // no program is given a port below 1024
  config = writeConfig(
    host,
    `targets:\n${target(8000, one)}${target(8001, two)}${target(8002, nobody)}` +
      target(8003, one, ', num_workers: 1'),
  )
  const metrics = ['--metrics', host.path('metrics.sock')]
  proxy = await RunningProxy.start(host, ['--config', config, ...metrics], 4)
})

afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  expect(existsSync(join(enclave.vsock, 'vsock.sock_8000'))).toBe(false)
  one.close()
  two.close()
  await enclave[Symbol.asyncDispose]()
  host.discard()
})

const ask = async (from: EchoEnclave, port: number): Promise<string> =>
  (await exchange(dial(from, port), 'word')).toString()

test('one process serves many targets, also for enclaves that start later', async () => {
  expect(await ask(enclave, 8000)).toBe('one word')
  expect(await ask(enclave, 8001)).toBe('two word')
  await using later = await EchoEnclave.start(host.runtime, { name: 'later' })
  const path = join(later.vsock, 'vsock.sock_8001')
  await expect.poll(() => existsSync(path)).toBe(true)
  expect(statSync(path).mode & 0o777).toBe(0o666) // the card is a user of its own
  expect(await ask(later, 8001)).toBe('two word')
})

test('a server that does not answer ends the connection, is reported once, and holds up nobody', async () => {
  for (let n = 0; n < 3; n++) await untilEnd(dial(enclave, 8002))
  await proxy.until((log) => log.some((line) => line.includes('ERR_PROXY_CONNECT')))
  expect(proxy.log.filter((line) => line.includes('ERR_PROXY_CONNECT'))).toHaveLength(1)
  expect(await ask(enclave, 8000)).toBe('one word')
})

test('more connections than workers wait for their turn', async () => {
  const first = dial(enclave, 8003)
  await once(first, 'data')
  const second = exchange(dial(enclave, 8003), 'word')
  await expect.poll(async () => valueOf('cloister_proxy_connections_waiting', 8003)).toBe(1)
  first.end()
  await untilEnd(first)
  expect((await second).toString()).toBe('one word')
})

test('connections for which 256 others wait are closed, and those keep their turn', async () => {
  const first = dial(enclave, 8003)
  await once(first, 'data')
  const waiting = Array.from({ length: 256 }, () => dial(enclave, 8003))
  await expect.poll(async () => valueOf('cloister_proxy_connections_waiting', 8003)).toBe(256)
  await untilEnd(dial(enclave, 8003))
  await expect
    .poll(() => valueOf('cloister_proxy_failures_total', 8003, { reason: 'limit' }))
    .toBe(1)
  expect(await valueOf('cloister_proxy_connections_waiting', 8003)).toBe(256)
  const [next, ...others] = waiting
  for (const socket of others) socket.destroy()
  first.destroy()
  if (next !== undefined) expect((await exchange(next, 'word')).toString()).toBe('one word')
})

test('a reader that does not read holds up the writer', async () => {
  await expectHeldUp(dial(enclave, 8000))
})

test('metrics say what went through, and what did not', async () => {
  await expect.poll(() => valueOf('cloister_proxy_connections_total', 8001)).toBe(1)
  expect(await valueOf('cloister_proxy_bytes_total', 8001, { direction: 'to_guest' })).toBe(8)
  expect(await valueOf('cloister_proxy_bytes_total', 8001, { direction: 'from_guest' })).toBe(4)
  await expect
    .poll(() => valueOf('cloister_proxy_failures_total', 8002, { reason: 'connect' }))
    .toBe(3)
})

test('SIGHUP adds and removes targets; others keep their connections', async () => {
  const kept = dial(enclave, 8000)
  const cut = dial(enclave, 8001)
  await Promise.all([once(kept, 'data'), once(cut, 'data')])
  const isCut = untilEnd(cut)
  writeFileSync(config, `targets:\n${target(8000, one)}${target(8004, two)}`)
  await proxy.reload(/port 8004/)
  await isCut
  expect((await exchange(kept, 'word')).toString()).toBe('word')
  expect(await ask(enclave, 8004)).toBe('two word')
  expect(existsSync(join(enclave.vsock, 'vsock.sock_8001'))).toBe(false)
})

test('a reload is done although somebody serves one of its ports', async () => {
  const taken = createServer().listen(join(enclave.vsock, 'vsock.sock_8015'))
  await once(taken, 'listening')
  writeFileSync(config, `targets:\n${target(8015, one)}${target(8016, two)}${target(8000, one)}`)
  await proxy.reload(/port 8016/)
  expect(await ask(enclave, 8016)).toBe('two word')
  expect(proxy.log.filter((line) => line.includes('was not reloaded'))).toEqual([])
  await proxy.until((log) =>
    log.some((line) => line.startsWith('A port is not served: ERR_VSOCK_LISTEN')),
  )
  taken.close()
  await expect.poll(() => existsSync(join(enclave.vsock, 'vsock.sock_8015'))).toBe(true)
  expect(await ask(enclave, 8015)).toBe('one word')
})

test('a server that the new allowlist does not contain gets no more connections', async () => {
  const open = dial(enclave, 8000)
  await once(open, 'data')
  writeFileSync(config, `allowlist: []\ntargets:\n${target(8000, one)}`)
  await proxy.reload(/ERR_PROXY_DENIED/)
  await untilEnd(dial(enclave, 8000))
  expect((await exchange(open, 'word')).toString()).toBe('word')
  writeFileSync(config, `targets:\n${target(8000, one)}${target(8007, two)}`)
  await proxy.reload(/port 8007/)
  expect(await ask(enclave, 8000)).toBe('one word')
})

test('a file that cannot be used changes nothing', async () => {
  writeFileSync(config, 'targets: [')
  await proxy.reload(/ERR_PROXY_CONFIG/)
  expect(await ask(enclave, 8000)).toBe('one word')
  const reloads = async (): Promise<unknown> =>
    (await metrics()).find(({ name }) => name === 'cloister_proxy_reloads_total')?.samples
  await expect.poll(reloads).toEqual([
    { labels: { result: 'done' }, value: 4 },
    { labels: { result: 'failed' }, value: 1 },
  ])
})

test('a port that somebody serves is refused, with the process that does; another enclave is served', async () => {
  await using second = await EchoEnclave.start(host.runtime, { name: 'second', cid: 17 })
  await expect.poll(() => existsSync(join(second.vsock, 'vsock.sock_8000'))).toBe(true)
  const rival = writeConfigNamed('rival.yaml', `targets:\n${target(8000, two)}`)
  const clash = await call('--config', rival)
  expect(clash).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('ERR_VSOCK_LISTEN') as string,
  })
  expect(clash.stderr).toContain(`by process ${String(proxy.process.pid)} `)
  const own = writeConfigNamed('own.yaml', `targets:\n${target(8005, two)}`)
  await using _ = await RunningProxy.start(host, ['--config', own, '--enclave-name', 'second'])
  expect(await ask(second, 8005)).toBe('two word')
  expect(existsSync(join(enclave.vsock, 'vsock.sock_8005'))).toBe(false)
})

test.each([
  ['[]', 'ERR_PROXY_CONFIG'],
  ['other: 1', 'ERR_PROXY_CONFIG'],
  ['allowlist: 1', 'ERR_PROXY_CONFIG'],
  ['allowlist: []', 'ERR_PROXY_CONFIG'],
  ['allowlist: [{address: a, port: 65979}]', 'ERR_PROXY_CONFIG'],
  ['allowlist: [{address: a b, port: 443}]', 'ERR_PROXY_CONFIG'],
  ['allowlist: [{port: 443}]', 'bad.yaml: allowlist[0] has no address'],
  ['allowlist: [{adress: a, port: 443}]', 'adress is an unknown key'],
  ['targets: [{local_port: 9001, address: 127.0.0.1, port: 1}]', 'ERR_PROXY_CONFIG'],
  ['targets: [{local_port: 8000, address: 127.0.0.1, port: 1, workers: 1}]', 'ERR_PROXY_CONFIG'],
  ['targets: [{local_port: 8000, address: 127.0.0.1, port: 1, ip: 5}]', 'ERR_PROXY_CONFIG'],
  [`targets: [${'{local_port: 1, address: 127.0.0.1, port: 1},'.repeat(2)}]`, 'ERR_PROXY_CONFIG'],
  ['targets: &a [*a]', 'ERR_PROXY_CONFIG'],
  [`targets: [{local_port: 8000, address: "::1", port: 1, ip: 4}]`, 'ERR_PROXY_RESOLVE'],
])('the configuration %s is refused', async (text, code) => {
  const path = writeConfigNamed('bad.yaml', text)
  const { status, stderr } = await call('--config', path)
  expect({ status, stderr }).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(code) as string,
  })
})

/** For what ends by itself. */
function call(...args: readonly string[]): Promise<Called> {
  const env = { CLOISTER_STATE_DIR: host.state, CLOISTER_RUNTIME_DIR: host.runtime }
  return callCloister(['vsock-proxy', ...args], env)
}

function writeConfigNamed(name: string, content: string): string {
  writeFileSync(host.path(name), content)
  return host.path(name)
}

async function metrics(): Promise<ReturnType<typeof parseExposition>> {
  const asked = request({ socketPath: host.path('metrics.sock'), path: '/metrics' }).end()
  const [response] = (await once(asked, 'response')) as [NodeJS.ReadableStream]
  return parseExposition(await text(response))
}

async function valueOf(name: string, port: number, labels = {}): Promise<number | undefined> {
  const samples = (await metrics()).find((family) => family.name === name)?.samples ?? []
  const wanted = { enclave_name: 'echo', local_port: String(port), ...labels }
  const isWanted = (found: Record<string, string>): boolean =>
    Object.entries(wanted).every(([key, value]) => found[key] === value)
  return samples.find((sample) => isWanted(sample.labels))?.value
}
