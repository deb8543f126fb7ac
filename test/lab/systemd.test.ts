// Enclaves as services of a real systemd, under control groups of version 2: docs/systemd/cloister@.service as
// it is, and an ordinary user's scope. One boot of a host that has systemd as PID 1.

import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestHost } from '../host.ts'
import { Lab } from './lab.ts'
import * as enclaves from './lab-enclaves.ts'
import type { LabCaller, LabEnclave } from './lab-enclaves.ts'
import { repository } from './repository.ts'

const UNIT = 'cloister@web.service'
const CONFIG = {
  ...{ eif_path: '/files/hello.eif', enclave_name: 'web', memory_mib: 128, guest_ports: '5005' },
  cgroup: 'required',
}
const USER_ID = 4001

interface Group {
  readonly MemoryMiB: number
  readonly CPUs: number
  readonly Processes: number
  readonly Cgroups: readonly [string]
}

interface Limited extends LabEnclave {
  readonly EnclaveName: string
  readonly Limits: { readonly CgroupVersion: number; readonly QEMU: Group; readonly Others: Group }
}

let outside: TestHost
let lab: Lab
let root: LabCaller
let user: LabCaller

beforeAll(async () => {
  outside = new TestHost()
  await outside.build('hello')
  writeFileSync(outside.path('web.json'), JSON.stringify(CONFIG))
  mkdirSync(outside.path('units'))
  cpSync(join(repository, 'docs/systemd'), outside.path('units'), { recursive: true })
  lab = await Lab.start({ systemd: true, files: outside.directory })
  root = { lab, user: 'root' }
  const runtime = `/run/user/${String(USER_ID)}`
  user = { lab, user: 'lab', env: { XDG_RUNTIME_DIR: runtime } }
  await shell(root, 'mkdir /etc/cloister && cp /files/web.json /etc/cloister/')
  await shell(root, 'cp /files/units/* /etc/systemd/system/ && systemctl daemon-reload')
})

afterAll(async () => {
  try {
    await lab[Symbol.asyncDispose]()
  } finally {
    await outside[Symbol.asyncDispose]()
  }
})

function shell(caller: LabCaller, script: string): Promise<string> {
  return enclaves.output(caller, 'bash', '-c', script)
}

async function show(...properties: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const names = properties.map((name) => `--property=${name}`)
  const text = await enclaves.output(root, 'systemctl', 'show', ...names, UNIT)
  const pairs = text.split('\n').map((line): [string, string] => {
    const at = line.indexOf('=')
    return [line.slice(0, at), line.slice(at + 1)]
  })
  return Object.fromEntries(pairs)
}

async function running(caller: LabCaller): Promise<Limited> {
  const list = JSON.parse(await enclaves.output(caller, 'cloister', 'list')) as readonly Limited[]
  const [enclave] = list
  if (enclave === undefined) throw new Error('no enclave runs')
  return enclave
}

/** In a group, threads of the kernel left out, such as KVM's for the group of its virtual machine. */
const MEMBERS =
  'for pid in $(cat "$group"/cgroup.procs); do [ ! -e /proc/$pid/exe ] || echo $pid; done'

/** What the kernel holds a group to, and who is in it. */
async function settings({ Cgroups: [directory] }: Group): Promise<readonly string[]> {
  const files = ['memory.max', 'memory.swap.max', 'pids.max', 'cpu.max']
  const print = (file: string): string => `cat "$group/${file}" 2>/dev/null || echo`
  const script = [`group='${directory}'`, ...files.map(print), `echo $(${MEMBERS})`]
  const text = await shell(root, script.join('\n'))
  return text.split('\n').map((line) => line.trim())
}

async function expectLimits({ Limits, Processes }: Limited, cpu: boolean): Promise<void> {
  const { QEMU, ...others } = Processes
  for (const [group, pids] of [
    [Limits.QEMU, [QEMU]],
    [Limits.Others, Object.values(others)],
  ] as const) {
    const [memory, swap, processes, quota, members = ''] = await settings(group)
    expect(Number(memory)).toBe(group.MemoryMiB * 2 ** 20)
    expect(['0', '']).toContain(swap)
    expect(Number(processes)).toBe(group.Processes)
    expect(quota).toBe(cpu ? `${String(group.CPUs * 100_000)} 100000` : '')
    expect(members.split(' ').map(Number).toSorted()).toEqual(pids.toSorted())
  }
}

test('the service is up once its app runs, and its processes are in groups with limits below it', async () => {
  await enclaves.output(root, 'systemctl', 'start', UNIT)
  const {
    ActiveState,
    ControlGroup = '',
    MainPID,
  } = await show(...['ActiveState', 'ControlGroup', 'MainPID'])
  expect(ActiveState).toBe('active')
  const enclave = await running(root)
  expect(enclave).toMatchObject({ State: 'RUNNING', Accelerator: 'kvm' })
  expect(enclave.Limits.CgroupVersion).toBe(2)
  for (const { Cgroups } of [enclave.Limits.QEMU, enclave.Limits.Others])
    expect(Cgroups[0]).toContain(`/sys/fs/cgroup${ControlGroup}/`)
  await expectLimits(enclave, true)
  const main = await shell(root, `cat /proc/${String(MainPID)}/cgroup`)
  expect(main.trim()).toBe(`0::${ControlGroup}/cloister-main`)
})

test('a QEMU that is killed has the service restarted, with another enclave', async () => {
  const before = await running(root)
  await shell(root, `kill -9 ${String(before.Processes['QEMU'])}`)
  await expect
    .poll(() => show('NRestarts', 'ActiveState'), { timeout: 300_000, interval: 2000 })
    .toMatchObject({ NRestarts: '1', ActiveState: 'active' })
  const after = await running(root)
  expect(after.EnclaveName).toBe('web')
  expect(after.EnclaveID).not.toBe(before.EnclaveID)
  expect((await enclaves.describeEnclave(root, before.EnclaveID)).End).toMatchObject({
    First: 'QEMU',
    Signal: 'SIGKILL',
  })
  await expectLimits(after, true)
})

test('a service that is stopped has ended well, and leaves no process and no group', async () => {
  const { ControlGroup } = await show('ControlGroup')
  const { EnclaveID } = await running(root)
  await enclaves.output(root, 'systemctl', 'stop', UNIT)
  expect(await show('ActiveState', 'Result')).toMatchObject({
    ActiveState: 'inactive',
    Result: 'success',
  })
  expect((await enclaves.describeEnclave(root, EnclaveID)).End).toMatchObject({ First: 'app' })
  const group = `/sys/fs/cgroup${String(ControlGroup)}`
  expect(await shell(root, `ls -d '${group}' 2>/dev/null; true`)).toBe('')
  const processes = await enclaves.output(root, 'ps', '-e', '-o', 'comm')
  expect(processes).not.toMatch(/qemu-system|swtpm|cloister-vsock/)
})

test('an ordinary user’s enclave has limits in a scope of its own, which goes with it', async () => {
  await enclaves.output(root, 'systemctl', 'start', `user@${String(USER_ID)}.service`)
  const run = 'cloister run-enclave --eif-path /files/hello.eif --memory 128 --cgroup required'
  await shell(user, `systemd-run --user --scope --quiet ${run} --boot-timeout 300`)
  const enclave = await running(user)
  const [directory] = enclave.Limits.QEMU.Cgroups
  expect(directory).toMatch(
    new RegExp(`/user@${String(USER_ID)}\\.service/.*/cloister-keeper-\\d+\\.scope/`),
  )
  const offered = await shell(root, `cat '${directory}/cgroup.controllers'`)
  await expectLimits(enclave, offered.split(/\s+/).includes('cpu'))
  await enclaves.output(user, 'cloister', 'terminate-enclave', '--all', '--timeout', '0')
  const scope = directory.replace(/\.scope\/.*$/, '.scope')
  const isThere = (): Promise<string> => shell(root, `ls -d '${scope}' 2>/dev/null; true`)
  await expect.poll(isThere, { timeout: 60_000, interval: 500 }).toBe('')
})
