// Scripts wait for an app to listen and for an enclave to end, with an enclave that needs no machine.

import { spawn, type ChildProcess } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ECHO_PORT, EchoEnclave } from '../fixtures/echo-enclave.ts'
import { once } from '../fixtures/once.ts'
import { TestHost } from '../host.ts'

let host: TestHost
let keeper: ChildProcess
let enclave: EchoEnclave

beforeAll(async () => {
  host = new TestHost()
  keeper = spawn('sleep', ['1000'])
  await once(keeper, 'spawn')
  enclave = await EchoEnclave.start(host.runtime, { name: 'hello', keeperPid: keeper.pid })
})

afterAll(async () => {
  keeper.kill('SIGKILL')
  await enclave[Symbol.asyncDispose]()
  host.discard()
})

const wait = ['wait', '--enclave-name', 'hello']
const ready = [...wait, '--for', 'ready', '--port']

test('a port on which the app listens is ready', async () => {
  const found = await host.json(...ready, String(ECHO_PORT))
  expect(found).toMatchObject({ EnclaveID: 'hello', State: 'RUNNING' })
})

test('a port on which nothing listens is not waited for beyond the time-out', async () => {
  const result = await host.run(...ready, '7', '--timeout', '1')
  expect(result.stdout).toBe('')
  expect(result.stderr).toContain('ERR_VSOCK_CONNECT')
})

test.each([
  [['run-enclave', '--eif-path', 'x.eif', '--wait-port', '5005']],
  [[...wait, '--for', 'ready']],
  [[...wait, '--for', 'exit', '--port', '5005']],
  [['wait']],
])('what cannot be waited for is refused: %j', async (args) => {
  expect((await host.run(...args)).stderr).toContain('ERR_CLI_ARGUMENT')
})

test('the end is waited for, and printed with its reason, also when it was before', async () => {
  expect((await host.run(...wait, '--timeout', '0')).stderr).toContain('ERR_KEEPER_WAIT')
  const waiting = host.spawn(...wait)
  let text = ''
  waiting.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString('utf8')))
  const over = once(waiting, 'close')
  keeper.kill('SIGKILL')
  expect((await over)[0]).toBe(0)
  const ended = { State: 'TERMINATED', End: { First: 'keeper' } }
  expect(JSON.parse(text)).toMatchObject(ended)
  expect(await host.json(...wait)).toMatchObject(ended)
  const late = await host.run(...ready, String(ECHO_PORT))
  expect(late.stderr).toContain('hello ended before anything listened on port 5005')
})
