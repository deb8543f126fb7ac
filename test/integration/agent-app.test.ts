// What the agent makes of an image: the app's surroundings, and how its end is told.

import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { guestReport, guestRootfs } from '../fixtures/guest-program.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

interface Surroundings {
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly workdir: string
  readonly pid: number
  readonly status: Readonly<Record<string, string>>
  readonly mounts: Readonly<Record<string, string>>
  readonly loopback: boolean
  readonly hosts: readonly boolean[]
  readonly output: string
  readonly lowPort: boolean
  readonly entropy: boolean
  readonly temporaryMode: number
  readonly writable: readonly boolean[]
  readonly links: readonly boolean[]
  readonly initramfs: boolean
}

let host: TestHost
let rootfs: string

beforeAll(async () => {
  host = new TestHost()
  rootfs = await guestRootfs(host.directory, 'probe')
  mkdirSync(join(rootfs, 'etc'))
  appendFileSync(join(rootfs, 'etc/passwd'), 'app:x:1234:1235::/home/app:/probe\n')
  appendFileSync(join(rootfs, 'etc/group'), 'app:x:1235:\nextra:x:77:app\n')
  writeFileSync(join(rootfs, 'etc/notes'), 'not a program\n')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

async function image(name: string, ...args: readonly string[]): Promise<string> {
  return host.build(name, '--rootfs', rootfs, ...args)
}

/** Runs an image whose app ends by itself, and returns how that was recorded. */
async function endOf(name: string, ...args: readonly string[]): Promise<DescribedEnclave['End']> {
  const enclave = await host.start(await image(name, ...args))
  const state = async (): Promise<string> => (await host.describe(enclave.EnclaveID)).State
  await expect.poll(state).toBe('TERMINATED')
  return (await host.describe(enclave.EnclaveID)).End
}

describe('the surroundings of an app', () => {
  let report: Surroundings

  beforeAll(async () => {
    // The image does not have its workdir.
    const config = ['--workdir', '/srv/work', '--user', 'app', '--env', 'COLOUR=blue', 'EMPTY=']
    const words = ['--entrypoint', '/probe', 'look', '--cmd', 'one two', '$HOME']
    const enclave = await host.start(await image('look', ...words, ...config))
    report = await guestReport(enclave.VsockSocket)
  })

  test('entrypoint and cmd make its arguments, word by word', () => {
    expect(report.arguments).toEqual(['look', 'one two', '$HOME'])
  })

  test('its environment is what the image says, and PATH, HOME and HOSTNAME', () => {
    const { PATH, ...others } = report.environment
    const given = { HOME: '/home/app', HOSTNAME: 'enclave' }
    expect(others).toEqual({ COLOUR: 'blue', EMPTY: '', ...given })
    expect(PATH).toContain('/bin')
  })

  test('it runs in its workdir, as its user and groups, without capabilities', () => {
    expect(report.workdir).toBe('/srv/work')
    expect(report.status).toMatchObject({
      Uid: '1234\t1234\t1234\t1234',
      Gid: '1235\t1235\t1235\t1235',
      Groups: '77',
      CapEff: '0000000000000000',
      CapPrm: '0000000000000000',
      CapAmb: '0000000000000000',
    })
  })

  test('it is not PID 1, and its parent is', () => {
    expect(report.pid).toBeGreaterThan(1)
    expect(report.status['PPid']).toBe('1')
  })

  test('the usual file systems are mounted', () => {
    expect(report.mounts).toMatchObject({
      '/proc': 'proc',
      '/sys': 'sysfs',
      '/dev': 'devtmpfs',
      '/dev/pts': 'devpts',
      '/dev/shm': 'tmpfs',
      '/run': 'tmpfs',
      '/tmp': 'tmpfs',
      '/sys/fs/cgroup': 'cgroup2',
    })
    expect(report).toMatchObject({ temporaryMode: 0o1777, writable: [true, true, false] })
    expect(report.links).toEqual([true, true])
  })

  test('localhost and the host name resolve and work, and random bytes are there at once', () => {
    expect(report).toMatchObject({ loopback: true, hosts: [true, true], entropy: true })
  })

  test('its output is dropped, its input is at its end, and it may listen on any port', () => {
    expect(report).toMatchObject({ output: 'accepted', lowPort: true })
  })

  test('nothing of the initramfs around it can be seen', () => {
    expect(report.initramfs).toBe(false)
  })
})

describe('the end of an app', () => {
  test('an exit status is recorded, with how long the app ran and how much memory QEMU had', async () => {
    const end = await endOf('exit', '--entrypoint', '/probe', 'exit', '7')
    expect(end).toMatchObject({ First: 'app', ExitCode: 7 })
    const { LivedMs = 0, RanMs = -1, PeakMemoryMiB = 0 } = end ?? {}
    expect([RanMs >= 0, RanMs < LivedMs]).toEqual([true, true])
    // The kernel's and the agent's pages at least; never more than the guest's 128 MiB and QEMU's own.
    expect([PeakMemoryMiB > 20, PeakMemoryMiB < 400]).toEqual([true, true])
  })

  test('a death by signal is recorded', async () => {
    expect(await endOf('kill', '--entrypoint', '/probe', 'kill', '11')).toMatchObject({
      First: 'app',
      Signal: '11',
    })
  })

  test('terminate-enclave passes SIGTERM on, and the status that the app then chose is recorded', async () => {
    const enclave = await host.start(await image('trap', '--entrypoint', '/probe', 'trap', '0'))
    await guestReport(enclave.VsockSocket)
    await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '20')
    const { End } = await host.describe(enclave.EnclaveID)
    expect(End).toMatchObject({
      First: 'app',
      ExitCode: 0,
      Reason: expect.stringMatching(/^terminated on request; /) as string,
    })
  })

  test('an app that ignores SIGTERM is ended when its time is up', async () => {
    const enclave = await host.start(await image('ignore', '--entrypoint', '/probe', 'ignore'))
    // It serves once it ignores it.
    await guestReport(enclave.VsockSocket)
    await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '1')
    const { End } = await host.describe(enclave.EnclaveID)
    expect(End).toMatchObject({ First: 'request' })
  })

  test('orphans are reaped', async () => {
    const enclave = await host.start(await image('orphans', '--entrypoint', '/probe', 'orphans'))
    expect(await guestReport(enclave.VsockSocket)).toEqual({ zombies: 0 })
  })
})

describe('an app that cannot be started', () => {
  async function refused(...args: readonly string[]): Promise<string> {
    const eif = await image('refused', ...args)
    const result = await host.run('run-enclave', '--eif-path', eif, '--memory', '128')
    expect(result).toMatchObject({ status: 39, stdout: '' })
    expect(result.stderr).toContain('ERR_BOOT_AGENT')
    expect(host.leftovers().filter((file) => file.includes('refused'))).toEqual([])
    return result.stderr
  }

  test('a missing program is told by name', async () => {
    expect(await refused('--entrypoint', '/no/such/program')).toContain('start /no/such/program')
  })

  test('a file that is no program is told by name', async () => {
    expect(await refused('--entrypoint', '/etc/notes')).toContain('start /etc/notes')
  })

  test('a workdir that cannot be made is told by name', async () => {
    const args = ['--entrypoint', '/probe', '--workdir', '/probe/place']
    expect(await refused(...args)).toContain('enter the workdir /probe/place')
  })
})
