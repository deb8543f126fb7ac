// The memory that a load needs, by the command line that decides what its root file system is.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MemoryLoad } from '../../src/eif/index.ts'
import { checkMemory, neededMemoryMib } from '../../src/enclaves/index.ts'

const MIB = 1024 * 1024
const PAGES_PER_MIB = 256

function load(contentMib: number, inodes = 100, initrdMib = contentMib): MemoryLoad {
  return {
    kernelBytes: 18 * MIB,
    initrdBytes: initrdMib * MIB,
    unpacked: {
      inodes,
      pages: contentMib * PAGES_PER_MIB,
      tableBytes: inodes * 1024,
      mountedBytes: 0,
    },
    volumes: { inodes: 0, pages: 0, largestInodes: 0, largestPages: 0 },
  }
}

function needed(cmdline: string, of: MemoryLoad): number {
  return neededMemoryMib(1, of, cmdline) ?? Infinity
}

test.each([
  // A tmpfs of half of what is left beside ramdisk and kernel.
  ['', 3],
  ['initramfs_options=size=80%', 2.25],
  ['initramfs_options=mode=0755,size=60%', 2.67],
  // AWS's: a root device is named, so the root is a ramfs.
  ['reboot=k root=/dev/ram0', 2],
  ['rootfstype=ramfs', 2],
  ['root=/dev/ram0 rootfstype=tmpfs', 3],
  ['root=/dev/ram0 root=', 3],
  ['initramfs_options=size=5g', 2],
  ['-- rootfstype=ramfs', 3],
])('with %j a root of 1000 MiB needs %d times its size, and a little', (cmdline, factor) => {
  const mib = needed(cmdline, load(1000))
  expect(mib).toBeGreaterThan(factor * 1000)
  expect(mib).toBeLessThan(factor * 1000 * 1.03 + 130)
})

test('inodes count where the root limits them, and their tables everywhere', () => {
  const small = load(120, 30_000, 10)
  expect(needed('', small)).toBeGreaterThan((2 * 30_000) / PAGES_PER_MIB + 10)
  expect(needed('initramfs_options=size=80%,nr_inodes=0', small)).toBeLessThan(230)
  expect(needed('rootfstype=ramfs', small)).toBeGreaterThan(120 + 30 + 10)
  expect(neededMemoryMib(1, small, 'initramfs_options=nr_inodes=20k')).toBeUndefined()
})

test('a compressed root of 1000 MiB needs its image and the blocks in use, and no more', () => {
  const { unpacked, ...rest } = load(1, 10, 400)
  const mounted = { ...rest, unpacked: { ...unpacked, mountedBytes: 400 * MIB } }
  const mib = needed('initramfs_options=size=80% retain_initrd', mounted)
  expect(mib).toBeGreaterThan(needed('', load(1, 10, 400)))
  expect(mib).toBeLessThan(500)
})

test('volumes need their contents beside the image, and half of the memory for the largest', () => {
  const { unpacked, ...rest } = load(1, 10, 100)
  const mounted = { ...rest, unpacked: { ...unpacked, mountedBytes: 100 * MIB } }
  const cmdline = 'initramfs_options=size=80% retain_initrd'
  const withVolumes = (pages: number, largestPages: number, inodes = 1): MemoryLoad => ({
    ...mounted,
    volumes: { inodes, pages, largestInodes: inodes, largestPages },
  })
  const without = needed(cmdline, mounted)
  const many = needed(cmdline, withVolumes(400 * PAGES_PER_MIB, 4 * PAGES_PER_MIB))
  expect(many - without).toBeGreaterThan(400)
  expect(many - without).toBeLessThan(440)
  const one = needed(cmdline, withVolumes(400 * PAGES_PER_MIB, 400 * PAGES_PER_MIB))
  expect(one).toBeGreaterThan(many + 200)
  expect(needed(cmdline, withVolumes(0, 0, 100_000))).toBeGreaterThan(without + 100)
})

test('what is enough stays enough when there is more, and a MiB less is refused', () => {
  const cmdlines = fc.constantFrom('', 'initramfs_options=size=80%', 'rootfstype=ramfs')
  const loads = fc
    .tuple(fc.nat(9000), fc.nat(200_000), fc.nat(4000))
    .map(([content, inodes, initrd]) => load(content, inodes, initrd))
  fc.assert(
    fc.property(
      cmdlines,
      loads,
      fc.nat(200),
      fc.integer({ min: 1, max: 64 }),
      (cmdline, of, more, cpuCount) => {
        const memoryMib = neededMemoryMib(cpuCount, of, cmdline) ?? 0
        checkMemory({ memoryMib, cpuCount }, of, cmdline)
        checkMemory({ memoryMib: memoryMib + more, cpuCount }, of, cmdline)
        expect(() => {
          checkMemory({ memoryMib: memoryMib - 1, cpuCount }, of, cmdline)
        }).toThrow(expect.objectContaining({ code: 'ERR_KEEPER_MEMORY' }))
      },
    ),
  )
})
