// cloister doctor on hosts that lack one thing or another, and prune. No enclave is started.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kvmFix } from '../../src/doctor/index.ts'
import { Registry } from '../../src/enclaves/index.ts'
import { startingRecord } from '../fixtures/enclave-record.ts'
import { TestHost } from '../host.ts'

interface Report {
  readonly Ready: boolean
  readonly Checks: readonly {
    readonly Name: string
    readonly Status: string
    readonly Text: string
    readonly Fix?: string
  }[]
}

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(() => {
  host.discard()
})

/** What doctor says where a shell has done `before`. */
async function examined(before: string): Promise<{ status: number; report: Report }> {
  const { status, stdout, stderr } = await host.shell(
    `MAIN='${host.cli}'\n${before}\ncloister doctor --json`,
  )
  expect(stderr).toBe('')
  return { status, report: JSON.parse(stdout) as Report }
}

const hidden = (...programs: readonly string[]): string =>
  `cloister() { CLI="$MAIN" unshare --mount bash -c '
    for p in ${programs.join(' ')}; do mount --bind /dev/null "$(command -v $p)"; done
    exec "${process.execPath}" "$CLI" "$@"' - "$@"; }`

describe('doctor', () => {
  test('says that a host is ready, on which enclaves run', async () => {
    const { status, report } = await examined('')
    expect(report.Checks.filter(({ Status }) => Status === 'failed')).toEqual([])
    expect({ status, ready: report.Ready }).toEqual({ status: 0, ready: true })
    const { stdout } = await host.run('doctor')
    expect(stdout).toMatch(/^ok +QEMU: /m)
    expect(stdout).toMatch(/\nEnclaves can run on this host\.\n$/)
  })

  const faults: readonly (readonly [string, string, string])[] = [
    ['QEMU', 'a missing QEMU', 'export CLOISTER_QEMU=/no/such'],
    ['QEMU', 'a QEMU that is none', 'export CLOISTER_QEMU=/bin/true'],
    ['QEMU', 'a QEMU that only fails', 'export CLOISTER_QEMU=/bin/false'],
    ['swtpm', 'a missing swtpm', hidden('swtpm')],
    ['cards', 'a missing card', 'export CLOISTER_VSOCK_CARD=/no/such'],
    ['guest kernel and agent', 'missing blobs', 'export CLOISTER_BLOBS=/no/such'],
    ['limits', 'too few descriptors', 'ulimit -n 1024'],
    ['directories', 'a directory for everybody', 'export CLOISTER_RUNTIME_DIR=/tmp'],
    [
      'directories',
      'a path too long for sockets',
      `export CLOISTER_RUNTIME_DIR=$PWD/${'x'.repeat(90)}`,
    ],
    ['temporary files', 'a missing TMPDIR', 'export TMPDIR=/no/such'],
    ['user ids', 'a malformed range of ids', 'export CLOISTER_UID_RANGE=1:1'],
  ]
  test.each(faults)('finds fault with %s for %s', async (name, _, before) => {
    const { status, report } = await examined(before)
    const failed = report.Checks.filter(({ Status }) => Status === 'failed')
    expect(failed.map(({ Name }) => Name)).toEqual([name])
    expect(failed[0]?.Fix).toMatch(/\S/)
    expect(failed[0]?.Text).not.toMatch(/\bE[A-Z]{4,}:|Command failed|\n/)
    expect({ status, ready: report.Ready }).toEqual({ status: 1, ready: false })
  })

  test('misses skopeo and buildah only where they are wanted', async () => {
    const { status, report } = await examined(hidden('skopeo', 'buildah'))
    const tools = report.Checks.filter(({ Name }) => /skopeo|buildah/.test(Name))
    expect(tools.map(({ Status }) => Status)).toEqual(['note', 'note'])
    expect(status).toBe(0)
    const wanted = await host.shell(
      `MAIN='${host.cli}'\n${hidden('skopeo', 'buildah')}\ncloister doctor --containers`,
    )
    expect(wanted.status).toBe(1)
    expect(wanted.stdout).toMatch(/^failed +buildah: /m)
  })

  test('misses the network card only for images with egress', async () => {
    const { status, report } = await examined('export CLOISTER_NETWORK_CARD=/no/such')
    const card = report.Checks.find(({ Name }) => Name === 'network card')
    expect(card).toMatchObject({ Status: 'note' })
    expect(card?.Fix).toMatch(/CLOISTER_NETWORK_CARD/)
    expect(status).toBe(0)
  })

  test('says whether an enclave can have a CID of this host, and how to get there', async () => {
    const { status, report } = await examined('')
    const device = report.Checks.find(({ Name }) => Name === 'CIDs of this host')
    const isThere = existsSync('/dev/vhost-vsock')
    expect(device).toMatchObject({ Status: isThere ? 'ok' : 'note' })
    if (!isThere) expect(device?.Fix).toContain('modprobe vhost_vsock')
    expect(status).toBe(0)
  })

  test('says how to get KVM: firmware, nesting, module or group', () => {
    const host = { hasDevice: true, isRoot: false, cpuinfo: 'flags\t\t: fpu vmx\n' }
    expect(kvmFix(host)).toContain('usermod -aG kvm')
    expect(kvmFix({ ...host, isRoot: true })).toContain('chmod 660 /dev/kvm')
    expect(kvmFix({ ...host, hasDevice: false })).toContain('modprobe kvm_intel')
    const denied = { ...host, cpuinfo: 'flags : fpu hypervisor', isDenied: true }
    expect(kvmFix(denied)).toContain('usermod -aG kvm')
    expect(kvmFix({ ...host, cpuinfo: 'flags : fpu hypervisor' })).toContain('nested')
    expect(kvmFix({ ...host, cpuinfo: 'flags : fpu' })).toContain('firmware')
  })
})

test('prune forgets ended enclaves and what dead ones left, and nothing else', async () => {
  const runtime = join(host.directory, 'pruned')
  mkdirSync(runtime, { mode: 0o700 })
  const registry = new Registry(runtime)
  const alive = registry.claim(startingRecord('i-alive', 'alive'))
  registry.claim({
    ...startingRecord('i-dead', 'dead'),
    keeper: { pid: process.pid, startTime: 1 },
  })
  writeFileSync(join(registry.directory('i-dead'), 'keeper.sock'), '')
  const result = await host.shell(`CLOISTER_RUNTIME_DIR='${runtime}' cloister prune`)
  expect(JSON.parse(result.stdout)).toEqual([
    { EnclaveName: 'dead', EnclaveID: 'i-dead', Pruned: true },
  ])
  expect(registry.list().map(({ id }) => id)).toEqual(['i-alive'])
  registry.remove(alive)
})
