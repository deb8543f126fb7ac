// One control group of this host, without an enclave: it is joined, holds its processes to its limits, says
// that the kernel killed one of them, and goes.

import { execFile } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ControlGroup, openGroupBase, planGroups } from '../../src/cgroup/index.ts'
import { Registry, writeRecord } from '../../src/enclaves/index.ts'
import { confine } from '../../src/subprocess/index.ts'
import { runningRecord, startingRecord } from '../fixtures/enclave-record.ts'
import { once } from '../fixtures/once.ts'
import { TestHost } from '../host.ts'

const { how } = await planGroups()

// The other ways would move the processes of this test elsewhere.
describe.runIf(how === 'legacy')('a control group', () => {
  let group: ControlGroup

  beforeAll(async () => {
    const base = await openGroupBase()
    if (!('parents' in base)) throw new Error(base.reason)
    const limits = { memoryBytes: 48 * 2 ** 20, cpus: 1, processes: 8 }
    group = new ControlGroup(base, `cloister-test-${String(process.pid)}`, limits)
    group.make()
  })

  afterAll(async () => {
    await group[Symbol.asyncDispose]()
  })

  const members = (): string =>
    readFileSync(`${group.directories[0] ?? ''}/cgroup.procs`, 'utf8').trim()

  /** Runs a script, whose input ends when a promise is fulfilled. */
  function run(
    script: string,
    until: Promise<unknown> = Promise.resolve(),
  ): Promise<{ readonly signal: unknown; readonly stdout: string }> {
    const confinement = { uid: 65534, controlGroups: group.directories }
    const [program = '', ...args] = confine(['sh', '-c', script], confinement)
    return new Promise((resolve) => {
      const child = execFile(program, args, (error, stdout) => {
        resolve({ signal: error?.signal, stdout })
      })
      void until.then(() => child.stdin?.end())
    })
  }

  test('has a process that joined it before it became another user', async () => {
    const { stdout } = await run('id -u; cat /proc/self/cgroup')
    expect(stdout).toMatch(/^65534$/m)
    for (const directory of group.directories)
      expect(stdout).toContain(directory.slice(directory.lastIndexOf('/')))
  })

  test('lets no more processes run than its limit says', async () => {
    const { stdout } = await run('for n in $(seq 20); do sleep 1 & done 2>/dev/null; echo started')
    expect(stdout).not.toContain('started')
  })

  test('says that a process was killed at its memory limit, and nothing before', async () => {
    expect(group.outOfMemory()).toBeUndefined()
    const take = "exec python3 -c 'taken = []\nwhile True: taken.append(bytes(2**20))'"
    expect(await run(take)).toMatchObject({ signal: 'SIGKILL' })
    expect(group.outOfMemory()).toBe('limit')
  })

  test('of an enclave whose keeper was killed goes before the enclave is forgotten', async () => {
    const host = new TestHost()
    try {
      const { description } = new Registry(host.runtime).claim(startingRecord('i-1'))
      const { limits, directories } = group
      const keeper = { pid: process.pid, startTime: 1 }
      const facts = {
        version: 1,
        qemu: { ...limits, directories },
        others: { ...limits, directories },
      } as const
      const record = { ...runningRecord('i-1'), description, keeper, limits: facts }
      writeRecord(new Registry(host.runtime).directory('i-1'), record)
      const left = new EventEmitter()
      const lasting = run('read line', once(left, 'now'))
      await expect.poll(members, { interval: 10 }).not.toBe('')
      const terminated = host.run('terminate-enclave', '--enclave-id', 'i-1')
      await Promise.race([terminated, sleep(1000)])
      left.emit('now')
      await lasting
      expect(await terminated).toMatchObject({ status: 0 })
      expect(directories.filter((path) => existsSync(path))).toEqual([])
      expect(await host.list()).toEqual([])
    } finally {
      await host[Symbol.asyncDispose]()
      group.make()
    }
  })

  test('is gone with its last process', async () => {
    const left = new EventEmitter()
    const lasting = run('read line', once(left, 'now'))
    await expect.poll(members, { interval: 10 }).not.toBe('')
    const removed = group[Symbol.asyncDispose]()
    left.emit('now')
    await lasting
    await removed
    expect(group.directories.filter((path) => existsSync(path))).toEqual([])
  })
})
