// Things that happen at the same moment: whatever wins, nothing is left and what is told is true.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Registry, type EnclaveRecord } from '../../src/enclaves/index.ts'
import { identifyProcess } from '../../src/subprocess/index.ts'
import { guestRootfs } from '../fixtures/guest-program.ts'
import { nextText, once } from '../fixtures/once.ts'
import { until } from '../fixtures/until.ts'
import { TestHost } from '../host.ts'

/** The phases of a start are in fault-matrix.test.ts; these are the moments between them. */
const KEEPER_KILLS = 6

let host: TestHost
let eif: string
let brief: string

beforeAll(async () => {
  host = new TestHost()
  eif = await host.build('hello')
  const rootfs = await guestRootfs(host.directory, 'probe')
  brief = await host.build('brief', '--rootfs', rootfs, '--entrypoint', '/probe', 'exit', '5')
})

afterEach(async () => {
  await host.run('terminate-enclave', '--all', '--timeout', '0')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

const run = (): readonly string[] => ['run-enclave', '--eif-path', eif, '--memory', '128']

async function untilListed(state: string): Promise<void> {
  const states = async (): Promise<readonly string[]> =>
    (await host.list()).map(({ State }) => State)
  await expect.poll(states, { timeout: 60_000, interval: 10 }).toContain(state)
}

async function nothingIsLeft(): Promise<void> {
  await expect.poll(() => host.processes(), { interval: 20 }).toEqual([])
  expect(await host.list()).toEqual([])
  expect(host.leftovers()).toEqual([])
}

/** The keeper that runs or starts, by its command line. */
function keeperPid(): number | undefined {
  const line = host.processes().find((text) => text.includes('keeper/main.js'))
  return line === undefined ? undefined : Number.parseInt(line, 10)
}

/** The enclave that starts, looked up here: a process that lists it would take its time. */
function startingRecord(): EnclaveRecord | undefined {
  return new Registry(host.runtime).list().find(({ state }) => state === 'STARTING')
}

test('an enclave is terminated while it starts', async () => {
  const start = host.run('run-enclave', '--eif-path', await host.buildMute(), '--memory', '128')
  await untilListed('STARTING')
  await host.json('terminate-enclave', '--enclave-name', 'mute')
  const result = await start
  expect(result).toMatchObject({ status: 39, stdout: '' })
  expect(result.stderr).toContain('ERR_PROCESS_ABANDONED')
  await nothingIsLeft()
})

function takePlace(path: string): boolean {
  try {
    mkdirSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

test('an enclave whose record cannot be written once it runs is ended and forgotten', async () => {
  const start = host.run(...run())
  await expect.poll(startingRecord, { timeout: 60_000, interval: 2 }).toBeDefined()
  const { id = '', keeper } = startingRecord() ?? {}
  const place = join(host.runtime, 'enclaves', id, `record.json.${String(keeper?.pid)}`)
  // While the keeper writes a record, its own file is there.
  await until('the place of the next record is taken', () => takePlace(place), 1)
  expect(await start).toMatchObject({ stdout: '' })
  await nothingIsLeft()
  expect((await host.list('--all')).map((enclave) => enclave.EnclaveID)).not.toContain(id)
})

test('two terminate at once: both succeed', async () => {
  const { EnclaveID } = await host.start(eif)
  const terminate = ['terminate-enclave', '--enclave-id', EnclaveID]
  const results = await Promise.all([host.run(...terminate), host.run(...terminate)])
  expect(results).toMatchObject([{ status: 0 }, { status: 0 }])
  await nothingIsLeft()
})

test('terminating an enclave whose app is just ending succeeds', async () => {
  const { EnclaveID } = await host.start(brief)
  const terminated = await host.run('terminate-enclave', '--enclave-id', EnclaveID)
  expect(terminated).toMatchObject({ status: 0 })
  await nothingIsLeft()
})

test('a keeper killed at any moment of the start leaves nothing, and its name is free', async () => {
  for (let round = 0; round < KEEPER_KILLS; round++) {
    const start = host.run(...run())
    await expect.poll(keeperPid, { timeout: 60_000, interval: 2 }).toBeDefined()
    await sleep(Math.random() * 900)
    const pid = keeperPid()
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    const { status, stdout } = await start
    if (status === 0) expect(stdout).not.toBe('')
    await nothingIsLeft()
  }
  expect((await host.start(eif)).EnclaveName).toBe('hello')
})

test('many readers settle the same killed keeper, and all of them are told the same', async () => {
  const enclave = await host.start(eif)
  process.kill(enclave.ProcessID, 'SIGKILL')
  // It needs a processor to die; its children may be there still.
  await expect.poll(() => identifyProcess(enclave.ProcessID), { interval: 1 }).toBeUndefined()
  const lists = await Promise.all(Array.from({ length: 6 }, () => host.run('list')))
  expect(lists.map(({ stderr }) => stderr).join('')).toBe('')
  expect(lists.map(({ status, stdout }) => [status, stdout.trim()])).toEqual(
    lists.map(() => [0, '[]']),
  )
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({ End: { First: 'keeper' } })
})

test.each(['SIGTERM', 'SIGHUP'] as const)(
  'a keeper that gets %s ends its enclave and says so',
  async (signal) => {
    const enclave = await host.start(eif)
    process.kill(enclave.ProcessID, signal)
    await expect.poll(() => host.processes(), { interval: 20 }).toEqual([])
    const { State, End } = await host.describe(enclave.EnclaveID)
    expect(State).toBe('TERMINATED')
    expect(End).toMatchObject({
      First: 'request',
      Reason: expect.stringContaining(signal) as string,
    })
  },
)

test.each([0, 400, 1000])('Ctrl-C after %i ms of a start leaves nothing', async (ms) => {
  const start = host.interruptible(...run())
  const ended = once(start, 'exit')
  await expect.poll(keeperPid, { timeout: 60_000, interval: 2 }).toBeDefined()
  await sleep(ms)
  const isUp = new Registry(host.runtime).list().some(({ state }) => state === 'RUNNING')
  if (start.exitCode === null) process.kill(-(start.pid ?? 0), 'SIGINT')
  const [code] = (await ended) as [number | null]
  if (code === 0 || isUp) {
    expect(await host.list()).toMatchObject([{ State: 'RUNNING' }])
    return // It is ended after the test.
  }
  await expect.poll(() => host.processes(), { interval: 20 }).toEqual([])
  expect(await host.list()).toEqual([])
  expect(host.leftovers()).toEqual([])
})

test('an attached console ends with its guest', async () => {
  const args = ['--eif-path', brief, '--memory', '128', '--attach-console']
  const result = await host.run('run-enclave', ...args)
  expect(result).toMatchObject({ status: 0 })
  expect(result.stdout).toContain('Linux version')
  await nothingIsLeft()
})

test('Ctrl-C ends an attached console, not the enclave', async () => {
  const start = host.spawnUnder(['setsid'], ...run(), '--attach-console')
  await nextText(start, 'Linux version')
  process.kill(-(start.pid ?? 0), 'SIGINT')
  await once(start, 'exit')
  expect(await host.list()).toMatchObject([{ State: 'RUNNING' }])
})

test('readers of a console that go away in the middle cost the enclave nothing', async () => {
  const enclave = await host.start(eif, '--debug-mode')
  const command = `cloister console --enclave-id ${enclave.EnclaveID} --disconnect-timeout 1`
  const middle = `${command} | tail -n +3 | head -c 10`
  const result = await host.shell(`for n in 1 2 3 4 5; do ${middle}; done`)
  expect(result).toMatchObject({ stdout: 'Linux vers'.repeat(5), stderr: '' })
  expect(await host.describe(enclave.EnclaveID)).toMatchObject({ State: 'RUNNING' })
})

test('an app that traps SIGTERM and never ends is ended by a second, impatient request', async () => {
  const rootfs = join(host.directory, 'probe-rootfs')
  const stubborn = ['--rootfs', rootfs, '--entrypoint', '/probe', 'ignore']
  const enclave = await host.start(await host.build('stubborn', ...stubborn))
  const patient = host.run(
    'terminate-enclave',
    '--enclave-id',
    enclave.EnclaveID,
    '--timeout',
    '60',
  )
  await untilListed('TERMINATING')
  await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '0')
  expect(await patient).toMatchObject({ status: 0 })
  await nothingIsLeft()
})
