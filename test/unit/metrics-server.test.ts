// `metrics --listen`: the same metrics over HTTP, for readers that are not trusted.

import { type ChildProcess } from 'node:child_process'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endNow, Registry, writeRecord, type RunningRecord } from '../../src/enclaves/index.ts'
import { runningRecord, startingRecord } from '../fixtures/enclave-record.ts'
import { parseExposition } from '../fixtures/exposition.ts'
import { nextLine, once } from '../fixtures/once.ts'
import { TestHost } from '../host.ts'

let host: TestHost
let registry: Registry
let server: ChildProcess
let socketPath: string
let running: RunningRecord

beforeAll(async () => {
  host = new TestHost()
  await host.run('list')
  registry = new Registry(host.runtime)
  const { description } = registry.claim(startingRecord('i-1', 'a"b'))
  const createdAt = '2026-01-01T00:00:00.000Z'
  const startedAt = '2026-01-01T00:00:02.500Z'
  running = { ...runningRecord('i-1'), description, createdAt, startedAt }
  writeRecord(registry.directory('i-1'), running)
  socketPath = host.path('metrics.sock')
  server = host.spawn('metrics', '--listen', socketPath)
  await nextLine(server, 'stderr')
})

afterAll(async () => {
  server.kill()
  await once(server, 'exit')
  expect(existsSync(socketPath)).toBe(false)
  host.discard()
})

interface Answer {
  readonly status: number | undefined
  readonly type: string | undefined
  readonly body: string
}

async function ask(path = '/metrics', headers = {}, method = 'GET'): Promise<Answer> {
  const asked = request({ socketPath, path, headers, method })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const body = await text(response)
  return { status: response.statusCode, type: response.headers['content-type'], body }
}

const valueOf = ({ body }: Answer, name: string): unknown =>
  parseExposition(body).find((family) => family.name === name)?.samples

test('a socket for its owner alone serves what `metrics` prints', async () => {
  expect(statSync(socketPath).mode & 0o777).toBe(0o600)
  const answer = await ask()
  expect(answer).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' })
  const labels = { enclave_id: 'i-1', enclave_name: 'a"b' }
  expect(valueOf(answer, 'cloister_enclave_start_seconds')).toEqual([{ labels, value: 2.5 }])
  expect(valueOf(answer, 'cloister_enclave_restarts')).toEqual([{ labels, value: 0 }])
})

test('OpenMetrics is served to who asks for it', async () => {
  const { type, body } = await ask('/metrics', {
    accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5',
  })
  expect(type).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
  const lines = body.split('\n')
  expect(lines.slice(-2)).toEqual(['# EOF', ''])
  const types = lines.filter((line) => line.startsWith('# TYPE '))
  expect(types).toContain('# TYPE cloister_vsock_bytes counter')
  expect(types.filter((line) => line.includes('_total'))).toEqual([])
})

test('an end is counted once, by what ended first', async () => {
  const ends = async (): Promise<unknown> => valueOf(await ask(), 'cloister_enclave_ends_total')
  expect(await ends()).toEqual([])
  registry.finish(running, endNow(running, { first: 'QEMU', reason: '' }))
  await expect.poll(ends).toEqual([{ labels: { first: 'QEMU' }, value: 1 }])
})

test('what is not a question for metrics is refused', async () => {
  expect(await ask('/')).toMatchObject({ status: 404 })
  expect(await ask('/metrics', {}, 'POST')).toMatchObject({ status: 405 })
  expect(await ask('/metrics', { padding: 'x'.repeat(10_000) })).toMatchObject({ status: 431 })
})

test('readers that ask nothing, or do not read, are hung up on, and others are served again', async () => {
  const idle: Socket[] = Array.from({ length: 40 }, () => createConnection(socketPath))
  const closed = idle.map((socket) => once(socket.on('error', () => undefined).resume(), 'close'))
  await Promise.all(closed)
  expect(await ask()).toMatchObject({ status: 200 })
})

test('a loopback port serves too; other places are refused', async () => {
  const tcp = host.spawn('metrics', '--listen', '127.0.0.1:0')
  const line = await nextLine(tcp, 'stderr')
  const port = /port (\d+)/.exec(line)?.[1] ?? ''
  try {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`)
    expect(response.status).toBe(200)
    const names = parseExposition(await response.text()).map(({ name }) => name)
    expect(names).toContain('cloister_enclave_ends_total')
  } finally {
    tcp.kill()
    await once(tcp, 'exit')
  }
  writeFileSync(host.path('file'), '')
  for (const [place, code] of [
    ['0.0.0.0:9464', 'ERR_CLI_ARGUMENT'],
    ['127.0.0.1:99999', 'ERR_CLI_ARGUMENT'],
    ['metrics.sock', 'ERR_CLI_ARGUMENT'],
    [socketPath, 'ERR_METRICS_LISTEN'],
    [host.path('file'), 'ERR_METRICS_LISTEN'],
    [host.path('no/such/place'), 'ERR_METRICS_LISTEN'],
  ] as const)
    expect((await host.run('metrics', '--listen', place)).stderr).toContain(code)
})

test('a socket that a killed server has left is taken over', async () => {
  const path = host.path('left.sock')
  const first = host.spawn('metrics', '--listen', path)
  await expect.poll(() => existsSync(path)).toBe(true)
  first.kill('SIGKILL')
  await once(first, 'exit')
  const second = host.spawn('metrics', '--listen', path)
  await nextLine(second, 'stderr')
  second.kill()
  await once(second, 'exit')
  expect(existsSync(path)).toBe(false)
})
