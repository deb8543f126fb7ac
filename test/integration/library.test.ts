// The package as programs use it: the examples of docs/examples, and what they leave out.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  buildEnclave,
  findEnclave,
  listEnclaves,
  runEnclave,
  watchEnclaves,
  type Enclave,
} from 'cloister'
import { attest } from '../../docs/examples/attest.ts'
import { codeOf } from '../fixtures/code-of.ts'
import { once } from '../fixtures/once.ts'
import { helloRootfs, TestHost } from '../host.ts'

/** Of events: those that may be over before they are seen. */
const PASSING: readonly string[] = ['note', 'terminating']

const examples = resolve(import.meta.dirname, '../../docs/examples')

let host: TestHost

beforeAll(() => {
  host = new TestHost()
  vi.stubEnv('CLOISTER_STATE_DIR', host.state)
  vi.stubEnv('CLOISTER_RUNTIME_DIR', host.runtime)
})

afterAll(async () => {
  vi.unstubAllEnvs()
  await host[Symbol.asyncDispose]()
})

test('the example that attests: the document is of the enclave it started, which then ends', async () => {
  const root = join(host.state, 'authority/root.pem')
  const moduleId = await attest(helloRootfs, host.path('hello.eif'), root)
  expect(findEnclave('hello')).toMatchObject({ id: moduleId, state: 'TERMINATED' })
  expect(listEnclaves()).toEqual([])
  // The app is asked first, and may be what ends.
  expect(['app', 'request']).toContain((await findEnclave('hello').ended()).first)
})

test('an enclave says how it is, opens ports, tells its events, and ends when it is told to', async () => {
  const accepted = vi.fn()
  const watched = new AbortController()
  const seen: string[] = []
  const watching = (async () => {
    for await (const { event } of watchEnclaves({ since: new Date(), signal: watched.signal }))
      seen.push(event)
  })()
  const enclave: Enclave = await runEnclave({
    ...{ eif: host.path('hello.eif'), name: 'two', memoryMib: 128, onAccepted: accepted },
  })
  expect(accepted).toHaveBeenCalledTimes(1)
  expect(listEnclaves().map(({ id }) => id)).toEqual([enclave.id])
  expect(await codeOf(enclave.connect(5005))).toBe('ERR_VSOCK_CONNECT')
  await enclave.openPorts({ guestPorts: '5005' })
  ;(await enclave.connect(5005, 60_000)).destroy()
  expect(await enclave.report()).toMatchObject({ guestPorts: '5005' })
  await expect(enclave.report({ conections: true } as object)).rejects.toThrow(
    'no option conections',
  )
  await expect(enclave.ended({ timeoutMs: 5 } as object)).rejects.toThrow('no option timeoutMs')
  expect(() => enclave.events({ signal: 5 } as object)).toThrow('signal is not an AbortSignal')
  const events = (async () => {
    const names: string[] = []
    for await (const { event } of enclave.events()) if (!PASSING.includes(event)) names.push(event)
    return names
  })()
  await enclave.stop({ graceMs: 0 })
  expect(enclave.state).toBe('TERMINATED')
  expect(await events).toEqual(['starting', 'running', 'ended'])
  await expect.poll(() => seen).toContain('ended')
  watched.abort()
  await watching
  enclave.remove()
  expect(() => enclave.record).toThrow(
    expect.objectContaining({ code: 'ERR_KEEPER_NO_SUCH_ENCLAVE' }) as Error,
  )
})

test('a start, a build and a wait can be given up, and nothing is left of them', async () => {
  const mute = await host.buildMute()
  const giveUp = new AbortController()
  const reason = new Error('enough')
  const starting = runEnclave({
    eif: mute,
    memoryMib: 128,
    signal: giveUp.signal,
    onAccepted: () => {
      giveUp.abort(reason)
    },
  })
  await expect(starting).rejects.toBe(reason)
  expect(listEnclaves()).toEqual([])
  const aborted = AbortSignal.abort(reason)
  await expect(runEnclave({ eif: mute, signal: aborted })).rejects.toBe(reason)
  const building = new AbortController()
  const output = host.path('given-up.eif')
  const onProgress = (): void => {
    building.abort(reason)
  }
  await expect(
    buildEnclave({
      rootfs: helloRootfs,
      entrypoint: ['/hello'],
      output,
      signal: building.signal,
      onProgress,
    }),
  ).rejects.toBe(reason)
  expect(existsSync(output)).toBe(false)
})

test('errors have the codes of the command line', async () => {
  expect(await codeOf(runEnclave({ eif: '/no/such.eif' }))).toBe('ERR_EIF_UNREADABLE')
  expect(await codeOf(buildEnclave({ output: '/no/where.eif' }))).toBe('ERR_CLI_ARGUMENT')
  expect(await codeOf(runEnclave({ eif: host.path('hello.eif'), guestPorts: 'x' }))).toBe(
    'ERR_VSOCK_PORTS',
  )
})

test('the example that supervises starts its enclave again, and ends it on a signal', async () => {
  const script = join(examples, 'supervise.mjs')
  const child = spawn(process.execPath, [script, host.path('hello.eif')], { env: process.env })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const starts = (): number => lines.filter((line) => line.includes(' is running as i-')).length
  await expect.poll(starts, { timeout: 120_000 }).toBe(1)
  await findEnclave('hello').stop({ graceMs: 0 })
  await expect.poll(starts, { timeout: 120_000 }).toBe(2)
  child.kill('SIGTERM')
  await once(child, 'exit')
  expect(listEnclaves()).toEqual([])
})
