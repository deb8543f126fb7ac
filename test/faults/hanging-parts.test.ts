// A part that hangs holds up no request, does not outlive what it depends on, and is ended like others.

import { existsSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Registry } from '../../src/enclaves/index.ts'
import { controlGroupsOf } from '../../src/enclaves/record.ts'
import { identifyProcess } from '../../src/subprocess/index.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

let host: TestHost
let eif: string
let enclave: DescribedEnclave
const stopped: number[] = []

beforeAll(async () => {
  host = new TestHost()
  eif = await host.build('hello')
  enclave = await host.start(eif)
})

afterEach(() => {
  for (const pid of stopped.splice(0)) if (isRunning(pid)) process.kill(pid, 'SIGCONT')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

function hang(pid: number): void {
  process.kill(pid, 'SIGSTOP')
  stopped.push(pid)
}

function isRunning(pid: number): boolean {
  return identifyProcess(pid) !== undefined
}

function pidOf(part: string): number {
  const pid = enclave.Processes[part]
  if (pid === undefined) throw new Error(`there is no ${part}`)
  return pid
}

test.each(['keeper', 'vsock card'])(
  'a %s that hangs does not hold up a listing, which names it',
  async (part) => {
    hang(part === 'keeper' ? enclave.ProcessID : pidOf(part))
    const listed = await host.run('describe-enclaves')
    expect(JSON.parse(listed.stdout)).toMatchObject([{ State: 'RUNNING', Vsock: null }])
    expect(listed.stderr).toContain('vsock status of hello')
    const metrics = await host.run('metrics')
    expect(metrics.status).toBe(0)
    expect(metrics.stdout).toMatch(/^cloister_vsock_up\{.*\} 0$/m)
  },
)

test('a card that hangs opens no port, and the caller gets its error', async () => {
  hang(pidOf('vsock card'))
  const opened = await host.run('open-ports', '--enclave-name', 'hello', '--guest-ports', '7')
  expect(opened).toMatchObject({ status: 39, stdout: '' })
  expect(opened.stderr).toContain('ERR_VSOCK_CONTROL')
})

test('a hung card dies with its keeper, and QEMU gone takes a card along whose keeper hangs', async () => {
  hang(enclave.ProcessID)
  process.kill(pidOf('QEMU'), 'SIGKILL')
  // Its keeper has not waited for it, so what is left of it is a zombie: nobody.
  await expect.poll(() => isRunning(pidOf('vsock card'))).toBe(false)
  process.kill(enclave.ProcessID, 'SIGCONT')
  await expect.poll(() => isRunning(enclave.ProcessID)).toBe(false)
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({ End: { First: 'QEMU' } })

  enclave = await host.start(eif)
  hang(pidOf('vsock card'))
  process.kill(enclave.ProcessID, 'SIGKILL')
  await expect.poll(() => isRunning(pidOf('vsock card'))).toBe(false)
})

test('an enclave whose parts all hang is ended by its keeper, which says that it was asked to', async () => {
  enclave = await host.start(eif)
  const parts = Object.values(enclave.Processes)
  parts.forEach(hang)
  await host.json('stop', '--enclave-id', enclave.EnclaveID)
  expect(parts.filter(isRunning)).toEqual([])
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({
    End: { First: 'request', Reason: 'terminated on request' },
  })
})

test('a keeper that hangs is killed with its parts, and the record says so', async () => {
  enclave = await host.start(eif)
  const processes = [enclave.ProcessID, ...Object.values(enclave.Processes)]
  const groups = new Registry(host.runtime).list().flatMap(controlGroupsOf)
  expect(groups.filter((path) => existsSync(path))).toEqual(groups)
  hang(enclave.ProcessID)
  await host.json('stop', '--enclave-id', enclave.EnclaveID, '--timeout', '0')
  expect(processes.filter(isRunning)).toEqual([])
  const { End } = await host.describe(enclave.EnclaveID)
  expect(End).toMatchObject({ First: 'request' })
  expect(End?.Reason).toContain('killed')
  expect(groups.filter((path) => existsSync(path))).toEqual([])
})
