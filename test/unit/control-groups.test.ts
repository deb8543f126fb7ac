// Where control groups are, as the kernel tells it, and what they hold an enclave to.

import { expect, test } from 'vitest'
import { otherLimits, parseHierarchies, qemuLimits } from '../../src/cgroup/index.ts'
import { confine } from '../../src/subprocess/index.ts'

const V2 = '31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate'
const V1 = [
  '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
  '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct',
  '39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids',
  '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
].join('\n')

test('version 2 has one directory for a process', () => {
  const { unified, legacy } = parseHierarchies(V2, '0::/user.slice/user-0.slice/session-1.scope\n')
  const own = '/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope'
  expect(unified).toEqual({ mount: '/sys/fs/cgroup', own })
  expect(legacy.size).toBe(0)
})

test('version 1 has one for each controller, also where two share a hierarchy', () => {
  const membership = '9:pids:/\n4:memory:/a:b\n2:cpu,cpuacct:/job\n1:name=systemd:/x\n0::/\n'
  const { unified, legacy } = parseHierarchies(V1, membership)
  expect(Object.fromEntries([...legacy].map(([name, { own }]) => [name, own]))).toEqual({
    memory: '/sys/fs/cgroup/memory/a:b',
    cpu: '/sys/fs/cgroup/cpu,cpuacct/job',
    pids: '/sys/fs/cgroup/pids',
  })
  expect(unified?.own).toBe('/sys/fs/cgroup/unified')
})

test('a mount that shows a part of the hierarchy, as in a container, is followed from there', () => {
  const mount = '31 23 0:28 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup2 rw'
  expect(parseHierarchies(mount, '0::/docker/1/sub').unified?.own).toBe('/sys/fs/cgroup/sub')
  expect(parseHierarchies(mount, '0::/elsewhere').unified).toBeUndefined()
})

test('a mount point with a space is found', () => {
  const mount = '31 23 0:28 / /a\\040b rw - cgroup2 cgroup2 rw'
  expect(parseHierarchies(mount, '0::/x').unified?.own).toBe('/a b/x')
})

test('no memory of a guest is beyond the limit of its QEMU', () => {
  const size = { cpuCount: 2, accelerator: 'kvm' as const }
  for (const memoryMib of [64, 512, 4096, 262_144]) {
    const { memoryBytes, cpus } = qemuLimits({ ...size, memoryMib })
    expect(memoryBytes % 4096).toBe(0)
    expect(memoryBytes / 2 ** 20).toBeGreaterThanOrEqual(memoryMib + memoryMib / 64 + 128)
    expect(cpus).toBe(3)
  }
})

test('the limits of the cards hold what each may buffer', () => {
  expect(otherLimits.memoryBytes).toBeGreaterThan((128 + 128 + 400) * 2 ** 20)
})

test('a process joins its groups before it becomes another user, and no group is no step', () => {
  const argv = confine(['true'], { uid: 1, controlGroups: ['/g/a', '/g/b'] })
  expect(argv.slice(0, 2)).toEqual(['/bin/sh', '-c'])
  expect(argv.slice(3, 7)).toEqual(['join', '/g/a', '/g/b', '--'])
  expect(argv[7]).toBe('setpriv')
  expect(confine(['true'], { uid: 1 })[0]).toBe('setpriv')
})
