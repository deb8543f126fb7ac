// Programs of Debian that need more of a kernel than files and sockets, in an enclave in production
// mode: iptables in its two forms, and podman.

import { execFileSync } from 'node:child_process'
import { chmodSync, linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { guestReport } from '../fixtures/guest-program.ts'
import { makeHostTree, type HostTree } from '../fixtures/host-tree.ts'
import { TestHost } from '../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

const BASE = ['bash', 'sh', 'socat', 'cat', 'sleep', 'base64', 'mkdir', 'ls']

/** Podman takes half a minute where everything is emulated. */
const REPORT_MS = 120_000

interface Use {
  readonly script: string
  readonly memoryMib: number
  /** Directories that are volumes. */
  readonly volumes?: readonly string[]
}

/** Runs a script in an enclave of its own and returns what it printed. */
async function inEnclave(
  name: string,
  { programs, files = [] }: HostTree,
  { script, memoryMib, volumes = [] }: Use,
): Promise<string> {
  const root = join(host.directory, name)
  makeHostTree(root, { programs: [...BASE, ...programs], files })
  writeFileSync(
    join(root, 'script'),
    `#!/bin/bash
export PATH=/usr/sbin:/usr/bin
cd /tmp
{ ${script}
} > /tmp/output 2>&1
echo "\\"$(base64 -w 0 /tmp/output)\\"" > /tmp/report
exec socat VSOCK-LISTEN:5006,fork,reuseaddr SYSTEM:'cat /tmp/report'
`,
  )
  chmodSync(join(root, 'script'), 0o755)
  for (const volume of volumes) fillVolume(join(root, volume))
  const manifest = join(host.directory, `${name}.yaml`)
  const run = JSON.stringify({ entrypoint: ['/script'], volumes })
  writeFileSync(manifest, `cloister: 1\nname: ${name}\nversion: '1'\nrun: ${run}\n`)
  const eif = await host.build(name, '--rootfs', root, '--manifest', manifest)
  const enclave = await host.start(eif, '--memory', String(memoryMib))
  const report = await guestReport<string>(enclave.VsockSocket, REPORT_MS)
  await host.run('terminate-enclave', '--enclave-id', enclave.EnclaveID)
  return Buffer.from(report, 'base64').toString('utf8')
}

/** What an image may have in a volume: a private directory, and a file with two names. */
function fillVolume(directory: string): void {
  mkdirSync(join(directory, 'private'), { recursive: true })
  writeFileSync(join(directory, 'private/first'), 'of the image\n', { mode: 0o640 })
  linkSync(join(directory, 'private/first'), join(directory, 'second'))
  chmodSync(join(directory, 'private'), 0o700)
  chmodSync(directory, 0o710)
}

test('iptables redirects connections, with nf_tables and with tables of its own', async () => {
  const redirect = (program: string, address: string, to: string): string => `
    ${program} -t nat -A OUTPUT -p tcp -d ${address} --dport 80 -j REDIRECT --to-ports ${to} &&
    ${program} -t nat -A OUTPUT -m owner --uid-owner 7 -m comment --comment later -j ACCEPT`
  const output = await inEnclave(
    'iptables',
    {
      programs: ['ip', 'xtables-nft-multi', 'xtables-legacy-multi'],
      files: ['/usr/lib/x86_64-linux-gnu/xtables'],
    },
    {
      memoryMib: 192,
      script: `
        ip address add 10.9.8.7/32 dev lo; ip address add 10.9.8.6/32 dev lo
        ip -6 address add fd00::7/128 dev lo nodad
        socat TCP4-LISTEN:8001,fork,reuseaddr SYSTEM:'echo nf_tables' &
        socat TCP4-LISTEN:8002,fork,reuseaddr SYSTEM:'echo legacy' &
        socat TCP6-LISTEN:8003,fork,reuseaddr,ipv6only=1 SYSTEM:'echo version 6' &
        for it in 127.0.0.1/8001 127.0.0.1/8002 fd00::7/8003; do
          until cat < /dev/tcp/$it; do sleep 0.1; done
        done > /dev/null 2>&1
        ${redirect('xtables-nft-multi iptables', '10.9.8.7', '8001')}
        ${redirect('xtables-legacy-multi iptables', '10.9.8.6', '8002')}
        ${redirect('xtables-legacy-multi ip6tables', 'fd00::7', '8003')}
        socat -u TCP4:10.9.8.7:80 - ; socat -u TCP4:10.9.8.6:80 - ; socat -u 'TCP6:[fd00::7]:80' -`,
    },
  )
  // nf_tables warns that tables of the other kind are there as well.
  const lines = output.split('\n').filter((line) => !line.startsWith('#'))
  expect(lines).toEqual(['nf_tables', 'legacy', 'version 6', ''])
})

// Its storage is an overlay, which cannot lie on the overlay that the root is.
test('podman runs a container, with its storage in a volume that has what the image has there', async () => {
  const image = join(host.directory, 'image')
  mkdirSync(join(image, 'bin'), { recursive: true })
  execFileSync('cp', ['/bin/busybox', join(image, 'bin/busybox')])
  execFileSync('tar', ['-cf', '/image.tar'.replace('/', `${host.directory}/`), '-C', image, '.'])
  const output = await inEnclave(
    'podman',
    {
      programs: ['podman', 'crun', 'conmon', 'busybox', 'stat'],
      files: ['/etc/containers', '/usr/share/containers', join(host.directory, 'image.tar')],
    },
    {
      memoryMib: 512,
      volumes: ['/var/lib/containers'],
      script: `
        mkdir -p /var/tmp
        cd /var/lib/containers && stat -c '%n %a %h' . private second && cat second
        stat -f -c %T / .
        flags="--cgroup-manager cgroupfs --events-backend file"
        podman $flags import -q ${host.directory}/image.tar small > /dev/null &&
        podman $flags run --rm --network none --log-driver none small /bin/busybox sh -c \\
          'echo pid $$ of $(/bin/busybox id -u), $(/bin/busybox wc -l < /proc/net/dev) lines of devices'`,
    },
  )
  expect(output.split('\n')).toEqual([
    ...['. 710 3', 'private 700 2', 'second 640 2', 'of the image'],
    ...['overlayfs', 'tmpfs'],
    ...['pid 1 of 0, 3 lines of devices', ''],
  ])
})
