// The kinds of host that the lab can be: a TPM and measured boot, no user namespaces, kernel vsock,
// control groups, a persistent disk. One boot with all of them.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Lab } from './lab.ts'

/** EK certificates of TCG's EK Credential Profile: RSA 2048 and ECC P-384; the platform certificate. */
const CERTIFICATES = ['0x1C00002', '0x1C00016', '0x1C08000']

let directory: string
let lab: Lab

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-lab-test-'))
  lab = await Lab.start({
    ...{ uefi: true, tpm: true, userNamespaces: false, modules: ['vhost_vsock', 'vsock_loopback'] },
    disk: join(directory, 'disk'),
  })
})

afterAll(async () => {
  try {
    await lab[Symbol.asyncDispose]()
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

async function output(script: string): Promise<string> {
  const { status, stdout, stderr } = await lab.shell(script)
  expect(status, stderr).toBe(0)
  return stdout
}

test('the TPM is the kernel’s, with the certificates of a vendor and PCR banks for SHA-256 and SHA-384', async () => {
  const environment = 'export TPM2TOOLS_TCTI=device:/dev/tpmrm0'
  const handles = await output(`${environment}; tpm2_getcap handles-nv-index`)
  for (const handle of CERTIFICATES) expect(handles.toUpperCase()).toContain(handle.toUpperCase())
  const banks = await output(`${environment}; tpm2_pcrread sha256:0 && tpm2_pcrread sha384:0`)
  const values = [...banks.matchAll(/0x([0-9A-F]{64,96})$/gm)].map(([, value]) => value)
  expect(values.map((value) => value?.length)).toEqual([64, 96])
  for (const value of values) expect(value).toMatch(/[1-9A-F]/)
})

test('the firmware measured its boot: the event log begins with the specification event', async () => {
  const log = '/sys/kernel/security/tpm0/binary_bios_measurements'
  expect(await output(`dd if=${log} bs=1 skip=32 count=15 status=none`)).toBe('Spec ID Event03')
})

test('the host reads its clock from the TSC, which it does not find unstable', async () => {
  const clocks = '/sys/devices/system/clocksource/clocksource0'
  expect(await output(`cat ${clocks}/current_clocksource`)).toBe('tsc\n')
  expect(await output('dmesg')).not.toMatch(/TSC unstable|unstable TSC/)
})

test('no user namespace can be made', async () => {
  const { status, stderr } = await lab.shell('unshare --user true', { user: 'lab' })
  expect(status).not.toBe(0)
  expect(stderr).toMatch(/No space left/)
})

test('kernel vsock carries a stream to the host itself', async () => {
  expect(await output('ls -l /dev/vhost-vsock')).toMatch(/^c/)
  const listen = 'socat -u VSOCK-LISTEN:4711 STDOUT'
  const send =
    'for i in $(seq 50); do echo word | socat -u - VSOCK-CONNECT:1:4711 && break; sleep 0.2; done'
  expect(await output(`${listen} & (${send}) 2>/dev/null; wait`)).toBe('word\n')
})

test('a control group holds a process to its memory limit', async () => {
  const group = '/sys/fs/cgroup/test'
  const script = `echo +memory >/sys/fs/cgroup/cgroup.subtree_control && mkdir ${group} &&
    echo 32M >${group}/memory.max &&
    (echo $BASHPID >${group}/cgroup.procs; head -c 64M /dev/zero | tail -c 64M >/dev/null)
    grep '^oom_kill ' ${group}/memory.events`
  expect(await output(script)).toMatch(/^oom_kill [1-9]/)
})

test('a command that takes too long is killed with its children, and the host goes on', async () => {
  const late = await lab.shell('sleep 4711 & sleep 4711', { timeoutMs: 1000 })
  expect(late).toMatchObject({ status: null, signal: 'SIGKILL', timedOut: true })
  expect(await output('ps -e -o args')).not.toContain('4711')
})

test('exit status, both streams and bytes that are no text come back as they were', async () => {
  const result = await lab.shell('printf "a\\nb"; printf c >&2; exit 7', { user: 'lab' })
  expect(result).toMatchObject({ status: 7, stdout: 'a\nb', stderr: 'c', timedOut: false })
  expect((await output('head -c 3000000 /dev/zero | tr "\\0" x')).length).toBe(3_000_000)
})

test('after a power cut the disk holds what was flushed to it, and the machine is the same', async () => {
  const ek = 'tpm2_nvread 0x1C00016 -T device:/dev/tpmrm0 | sha256sum'
  const before = await output(ek)
  await output('sysctl -qw vm.dirty_writeback_centisecs=0') // nothing is written unasked
  await output('echo kept >/persistent/kept && sync; echo lost >/persistent/lost')
  await lab.cutPower()
  lab = await Lab.start({ tpm: true, disk: join(directory, 'disk') })
  expect(await output('cat /persistent/kept')).toBe('kept\n')
  expect(await output('cat /persistent/lost 2>/dev/null || true')).toBe('')
  expect(await output(ek)).toBe(before)
})
