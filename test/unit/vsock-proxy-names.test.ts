// vsock-proxy and the names of its servers: a resolver of the host that works when the program starts and does not
// answer later, AWS's own configuration file, and servers with several addresses.

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { connectServer } from '../../src/proxy/connect-server.ts'
import { ChangeableNames } from '../fixtures/changeable-names.ts'
import { codeOf } from '../fixtures/code-of.ts'
import { EchoEnclave } from '../fixtures/echo-enclave.ts'
import { nextLine } from '../fixtures/once.ts'
import { dial, exchange, RunningProxy, serve, writeConfig } from '../fixtures/running-proxy.ts'
import { TestHost } from '../host.ts'

let host: TestHost
let enclave: EchoEnclave
let names: ChangeableNames
let server: Awaited<ReturnType<typeof serve>>

beforeAll(async () => {
  host = new TestHost()
  enclave = await EchoEnclave.start(host.runtime)
  names = await ChangeableNames.start(host)
  server = await serve('127.0.0.1', 'one ')
})

afterAll(async () => {
  server.close()
  names[Symbol.dispose]()
  await enclave[Symbol.asyncDispose]()
  host.discard()
})

afterEach(() => {
  vi.useRealTimers()
})

const start = (count: number, ...args: readonly string[]): Promise<RunningProxy> =>
  RunningProxy.of(host.spawnUnder(names.prefix, 'vsock-proxy', ...args), count)

const ask = async (port: number): Promise<string> =>
  (await exchange(dial(enclave, port), 'word')).toString()

test('names are looked up for each connection, and slow ones hold up no other', async () => {
  const hosts = ['a.example', 'b.example', 'c.example', 'localhost']
  const targets = hosts.map(
    (it, n) => `- {local_port: 800${String(n)}, address: ${it}, port: ${String(server.port)}}\n`,
  )
  await using _proxy = await start(
    4,
    '--config',
    writeConfig(host, `targets:\n${targets.join('')}`),
  )
  const atStart = names.asked.length
  await sleep(1100) // an answer is good for 1 s
  expect(await ask(8000)).toBe('one word')
  expect(names.asked.slice(atStart)).toContain('a.example')
  names.answers = false
  await sleep(1100)
  const ended: string[] = []
  const slow = [8000, 8001, 8002].map(async (port) => {
    const heard = await ask(port)
    ended.push('slow')
    return heard
  })
  await expect.poll(() => new Set(names.asked.slice(atStart)).size).toBeGreaterThan(1)
  expect(await ask(8003)).toBe('one word')
  ended.push('localhost')
  expect(await Promise.all(slow)).toEqual(['one word', 'one word', 'one word'])
  expect(ended).toEqual(['localhost', 'slow', 'slow', 'slow'])
  names.answers = true
})

/** The names in the file that comes with AWS's package, which has a line like this for each. */
const REGIONS =
  'us-east-2 us-east-1 us-west-1 us-west-2 af-south-1 ap-east-1 ap-south-1 ap-northeast-3 ap-northeast-2 ' +
  'ap-northeast-1 ap-southeast-3 ap-southeast-2 ap-southeast-1 ca-central-1 cn-north-1 cn-northwest-1 eu-central-1 ' +
  'eu-west-1 eu-west-2 eu-south-1 eu-west-3 eu-north-1 me-south-1 sa-east-1 us-gov-east-1 us-gov-west-1'

test("AWS's own configuration file is used as it is", async () => {
  const lines = REGIONS.split(' ').flatMap((region) =>
    ['kms', 'kms-fips'].map((it) => `- {address: ${it}.${region}.amazonaws.com, port: 443}\n`),
  )
  const file = host.path('aws.yaml')
  writeFileSync(file, `allowlist:\n${lines.join('')}`)
  const name = 'kms.eu-central-1.amazonaws.com'
  names.asked = []
  await using named = await start(1, '8000', name, '443', '--config', file)
  expect(named.log).toContain(`Proxying port 8000 of the parent to ${name}:443`)
  expect(new Set(names.asked)).toEqual(new Set([name]))
  // An address that one of the names has.
  await using _ = await start(1, '8001', '127.0.0.1', '443', '--config', file)
  expect(new Set(names.asked).size).toBe(lines.length)
})

/** A server whose queue is full: who connects to it waits. */
async function silentServer(port: number): Promise<Disposable> {
  const script = `
import socket, sys
it = socket.socket()
it.bind(("127.0.0.2", ${String(port)}))
it.listen(0)
clients = [socket.socket() for _ in range(2)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(("127.0.0.2", ${String(port)}))
print("full", flush=True)
sys.stdin.read()`
  const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  await nextLine(child)
  return { [Symbol.dispose]: () => void child.kill() }
}

/** How many milliseconds of the faked clock it takes. */
async function durationMs(work: Promise<unknown>): Promise<number> {
  const start = performance.now()
  const state = { isOver: false }
  const over = (): boolean => (state.isOver = true)
  void work.then(over, over)
  while (!state.isOver) {
    await setImmediate() // connections are real
    await vi.advanceTimersByTimeAsync(100)
  }
  return performance.now() - start
}

test('all addresses of a server are tried, for ten seconds in all', async () => {
  using _ = await silentServer(server.port)
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  const { port } = server
  const target = { localPort: 8000, host: 'a', port, family: 'any', maxConnections: 1 } as const
  const [refused, silent, good] = ['127.0.0.3', '127.0.0.2', '127.0.0.1']
  const reached = connectServer(target, [refused, silent, good])
  await durationMs(reached)
  const socket = await reached
  expect(socket.remoteAddress).toBe(good)
  socket.destroy()
  const ended = codeOf(connectServer(target, Array<string>(6).fill(silent)))
  expect(await durationMs(ended)).toBeCloseTo(10_000, -3)
  expect(await ended).toBe('ERR_PROXY_CONNECT')
})
