// Limits by control groups, where this host lets us set them: who is in which group, what the kernel holds
// them to, how an enclave that runs into its limit is recorded, and that no group is left.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { planGroups } from '../../src/cgroup/index.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

interface Group {
  readonly MemoryMiB: number
  readonly CPUs: number
  readonly Processes: number
  readonly Cgroups: readonly string[]
}

interface Limited extends DescribedEnclave {
  readonly Limits: { readonly QEMU: Group; readonly Others: Group } | { readonly Missing: string }
}

const plan = await planGroups()

let host: TestHost
let eif: string
let enclave: Limited

beforeAll(async () => {
  host = new TestHost()
  eif = await host.build('hello')
  enclave = (await host.start(eif)) as Limited
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

function groups(): { readonly QEMU: Group; readonly Others: Group } {
  if ('Missing' in enclave.Limits) throw new Error(enclave.Limits.Missing)
  return enclave.Limits
}

function directories(): readonly string[] {
  return Object.values(groups()).flatMap(({ Cgroups }) => Cgroups)
}

function members(group: Group): readonly number[] {
  const [directory = ''] = group.Cgroups
  return readFileSync(join(directory, 'cgroup.procs'), 'utf8').trim().split('\n').map(Number)
}

function setting(group: Group, ...files: readonly string[]): string | undefined {
  const paths = group.Cgroups.flatMap((it) => files.map((file) => join(it, file)))
  const found = paths.find((path) => existsSync(path))
  return found === undefined ? undefined : readFileSync(found, 'utf8').trim()
}

test('an enclave has the limits that doctor announces, or says why it has none', async () => {
  const { stdout } = await host.run('doctor')
  expect(stdout).toMatch(plan.how === 'none' ? /^warning +control groups/m : /^ok +control groups/m)
  expect('Missing' in enclave.Limits).toBe(plan.how === 'none')
})

test('limits that were required are refused where there are none', async () => {
  const run = `cloister run-enclave --eif-path '${eif}' --cgroup required`
  const hide = 'if mountpoint -q /sys/fs/cgroup; then umount -R /sys/fs/cgroup; fi'
  const result = await host.shell(`export -f cloister; unshare --mount bash -c '
    ${hide}; ${run.replaceAll("'", '"')}'`)
  expect(result).toMatchObject({ status: 39, stdout: '' })
  expect(result.stderr).toContain('ERR_KEEPER_CGROUP')
})

test.runIf(plan.how !== 'none')('QEMU is in one group, everything beside it in another', () => {
  const { QEMU, ...others } = enclave.Processes
  expect(members(groups().QEMU)).toEqual([QEMU])
  expect(members(groups().Others).toSorted()).toEqual(Object.values(others).toSorted())
  const { MemoryMiB, CPUs, Processes } = groups().QEMU
  const memory = setting(groups().QEMU, 'memory.max', 'memory.limit_in_bytes')
  expect(Number(memory)).toBe(MemoryMiB * 2 ** 20)
  expect(setting(groups().QEMU, 'pids.max')).toBe(String(Processes))
  const cpu = setting(groups().QEMU, 'cpu.max', 'cpu.cfs_quota_us')
  if (cpu !== undefined) expect(Number.parseInt(cpu)).toBe(CPUs * 100_000)
})

test.runIf(plan.how !== 'none')(
  'a QEMU that is killed at its memory limit is recorded as that',
  async () => {
    const { QEMU } = groups()
    await fillGroup(QEMU)
    const state = async (): Promise<string> => (await host.describe(enclave.EnclaveID)).State
    await expect.poll(state, { timeout: 60_000, interval: 200 }).toBe('TERMINATED')
    const { End } = await host.describe(enclave.EnclaveID)
    expect(End).toMatchObject({ First: 'QEMU', Signal: 'SIGKILL', OutOfMemory: 'limit' })
    expect(End?.Reason).toContain(`${String(QEMU.MemoryMiB)} MiB`)
    expect(directories().filter((path) => existsSync(path))).toEqual([])
  },
)

test.runIf(plan.how !== 'none')(
  'no group outlives a keeper that was killed, nor an enclave that was stopped',
  async () => {
    enclave = (await host.start(eif)) as Limited
    process.kill(enclave.ProcessID, 'SIGKILL')
    await expect.poll(() => host.processes(), { interval: 20 }).toEqual([])
    // A group with a process that is still going is left to the next command.
    const groupsAfterList = async (): Promise<readonly string[]> => {
      expect(await host.list()).toEqual([])
      return directories().filter((path) => existsSync(path))
    }
    await expect.poll(groupsAfterList).toEqual([])

    enclave = (await host.start(eif)) as Limited
    await host.json('terminate-enclave', '--enclave-id', enclave.EnclaveID, '--timeout', '0')
    expect(directories().filter((path) => existsSync(path))).toEqual([])
  },
)

test('an enclave without control groups runs when they were turned off, and says so', async () => {
  enclave = (await host.start(eif, '--cgroup', 'off')) as Limited
  expect(enclave.Limits).toEqual({ Missing: expect.stringContaining('--cgroup off') as string })
})

/** Another process takes what is left in QEMU's group; the kernel kills QEMU first. */
async function fillGroup(group: Group): Promise<void> {
  const qemu = String(enclave.Processes['QEMU'])
  writeFileSync(`/proc/${qemu}/oom_score_adj`, '1000')
  const take = "taken = []\nwhile True: taken.append(b'x' * 2**20)"
  const joining = group.Cgroups.map((it) => `echo $$ >'${it}/cgroup.procs'`).join(' && ')
  const script = `${joining} && exec python3 -c "${take}"`
  const hog = spawn('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'inherit'] })
  try {
    await expect.poll(() => existsSync(`/proc/${qemu}/exe`), { timeout: 60_000 }).toBe(false)
  } finally {
    hog.kill('SIGKILL')
  }
}
