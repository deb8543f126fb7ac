// How parts end beside being killed, which fault-matrix.test.ts has, and starts that are interrupted: the rest goes
// too, and the record says which part went first.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identifyProcess } from '../../src/subprocess/index.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

let host: TestHost
let eif: string

beforeAll(async () => {
  host = new TestHost()
  eif = await host.build('hello')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

function pidsOf({ ProcessID, Processes }: DescribedEnclave): readonly number[] {
  return [ProcessID, ...Object.values(Processes)]
}

function running(pids: readonly number[]): readonly number[] {
  return pids.filter((pid) => identifyProcess(pid) !== undefined)
}

test('a card that ends by a signal of its own making is named with it', async () => {
  const enclave = await host.start(eif)
  process.kill(enclave.Processes['vsock card'] ?? 0, 'SIGABRT')
  await expect.poll(() => running(pidsOf(enclave)), { interval: 20 }).toEqual([])
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({
    State: 'TERMINATED',
    End: { First: 'vsock card', Signal: 'SIGABRT' },
  })
})

test('a QEMU that is asked to end by a signal is not taken for a guest that ended', async () => {
  const enclave = await host.start(eif)
  process.kill(enclave.Processes['QEMU'] ?? 0, 'SIGTERM')
  await expect.poll(() => running(pidsOf(enclave)), { interval: 20 }).toEqual([])
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({
    State: 'TERMINATED',
    End: { First: 'QEMU' },
  })
})

test.each(['swtpm', 'qemu'])(
  'a launch that is interrupted once %s runs leaves nothing',
  async (part) => {
    const mute = await host.buildMute()
    const launch = host.interruptible('run-enclave', '--eif-path', mute, '--memory', '128')
    await expect
      .poll(() => host.processes().join('\n'), { timeout: 60_000, interval: 5 })
      .toContain(` ${part}`)
    launch.kill('SIGKILL')
    await expect.poll(() => host.processes()).toEqual([])
    expect(await host.list()).toEqual([])
    expect(host.leftovers()).toEqual([])
  },
)

test('an app that ends is told with its exit status', async () => {
  const enclave = await host.start(eif)
  const stopped = await host.json<object>('stop', '--enclave-id', enclave.EnclaveID)
  expect(stopped).toMatchObject({ EnclaveID: enclave.EnclaveID, Terminated: true })
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({ State: 'TERMINATED' })
})

test('a console that cannot be saved does not cost the record of the end', async () => {
  const enclave = await host.start(eif, '--debug-mode')
  const pids = pidsOf(enclave)
  mkdirSync(join(host.runtime, 'enclaves', enclave.EnclaveID, 'console.log'))
  process.kill(enclave.Processes['swtpm'] ?? 0, 'SIGKILL')
  await expect.poll(() => running(pids), { interval: 20 }).toEqual([])
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({
    State: 'TERMINATED',
    End: { First: 'swtpm' },
  })
})

test('an ended enclave is forgotten when it is terminated once more', async () => {
  const enclave = await host.start(eif)
  await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '0')
  await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID)
  await expect(host.describe(enclave.EnclaveID)).rejects.toThrow()
  const unknown = await host.run('terminate-enclave', '--enclave-id', enclave.EnclaveID)
  expect(unknown.stderr).toContain('ERR_KEEPER_NO_SUCH_ENCLAVE')
})
