// How much memory an image needs to be unpacked whole. A kernel whose memory or whose root file
// system is full leaves out the rest of the image in silence, so such a start is refused.
//
// While it unpacks, the kernel holds the ramdisks as they came and the files that they become. The
// figures are Linux 6.12's, measured on a microvm (docs/memory.md).

import type { MemoryLoad, VolumeLoad } from '../eif/index.ts'
import { CloisterError } from '../errors.ts'

const KIB = 1024
const MIB = 1024 * KIB
const PAGE_BYTES = 4 * KIB
/** The same floor as the Nitro driver's. */
export const MIN_MEMORY_MIB = 64
/** 16 TiB: more than a host has. */
export const MAX_MEMORY_MIB = 2 ** 24

/** Memory below 1 MiB and the kernel's page tables. */
const FIXED_BYTES = MIB
/** `struct page` for sections of 128 MiB, 2 MiB each, and hash tables: a share of all memory. */
const SECTION_BYTES = 2 * MIB
const SHARE_OF_MEMORY = 1 / 64 + 1 / 256
/** Machines that reach above 3 GiB get a bounce buffer (swiotlb). */
const BOUNCE_BUFFER = { fromMib: 3008, mib: 64 } as const
/** Linux keeps this free at least (set_recommended_min_free_kbytes): a share, up to a limit. */
const KEPT_FREE = { share: 1 / 20, mostBytes: 66 * MIB } as const
/** For the kernel's work, the agent and a small app; and for each CPU. */
const WORKING_BYTES = 12 * MIB
const BYTES_PER_CPU = 512 * KIB
/**
 * For the unpacked blocks of a compressed root file system: with less, a program is read again and
 * again. An unpacked root leaves as much when its ramdisk is let go.
 */
const MOUNTED_ROOT_BYTES = 16 * MIB
/** Of a file in a volume, and of each 64 pages of its contents, as in an unpacked root. */
const BYTES_PER_INODE = KIB
const BYTES_PER_PAGE = 10

export interface MachineSize {
  readonly memoryMib: number
  readonly cpuCount: number
}

/** @throws `ERR_KEEPER_MEMORY` with the size that would do. */
export function checkMemory(size: MachineSize, load: MemoryLoad, cmdline: string): void {
  const { memoryMib, cpuCount } = size
  if (memoryMib >= MIN_MEMORY_MIB && fits(size, load, cmdline)) return
  const neededMib = neededMemoryMib(cpuCount, load, cmdline)
  const details = {
    ...{ memoryMib, neededMib, entries: load.unpacked.inodes },
    ...{ unpackedBytes: load.unpacked.pages * PAGE_BYTES, ramdiskBytes: load.initrdBytes },
    ...(load.volumes.pages > 0 && { volumeBytes: load.volumes.pages * PAGE_BYTES }),
  }
  if (neededMib === undefined) {
    const message = `this image exceeds the limits that its own command line sets: ${cmdline}`
    const hint = 'Build the image with a larger size= or nr_inodes= in initramfs_options.'
    throw new CloisterError('ERR_KEEPER_MEMORY', message, { hint, details })
  }
  throw new CloisterError(
    'ERR_KEEPER_MEMORY',
    `${String(memoryMib)} MiB is too little: this image needs at least ${String(neededMib)} MiB`,
    { hint: `Use --memory ${String(neededMib)} plus what the app needs.`, details },
  )
}

/**
 * The smallest memory for which, and above which, the image is unpacked whole; `undefined` when its
 * command line forbids that for any.
 */
export function neededMemoryMib(
  cpuCount: number,
  load: MemoryLoad,
  cmdline: string,
): number | undefined {
  const isEnough = (memoryMib: number): boolean => fits({ memoryMib, cpuCount }, load, cmdline)
  if (isEnough(MIN_MEMORY_MIB)) return MIN_MEMORY_MIB
  let tooLittle = MIN_MEMORY_MIB
  let enough = MAX_MEMORY_MIB
  if (!isEnough(enough)) return undefined
  while (enough - tooLittle > 1) {
    const middle = Math.floor((tooLittle + enough) / 2)
    if (isEnough(middle)) enough = middle
    else tooLittle = middle
  }
  return enough
}

/** Once true it stays true for any larger memory. */
function fits({ memoryMib, cpuCount }: MachineSize, load: MemoryLoad, cmdline: string): boolean {
  const { unpacked, volumes } = load
  const usableBytes = usableMemory(memoryMib, load)
  const usablePages = Math.floor(usableBytes / PAGE_BYTES)
  const limits = rootLimits(cmdline, usablePages)
  const contentBytes = unpacked.pages * PAGE_BYTES + unpacked.tableBytes + volumeBytes(volumes)
  const keptFreeBytes = Math.min(memoryMib * MIB * KEPT_FREE.share, KEPT_FREE.mostBytes)
  const blockBytes = unpacked.mountedBytes > 0 ? MOUNTED_ROOT_BYTES : 0
  const workingBytes = WORKING_BYTES + cpuCount * BYTES_PER_CPU + keptFreeBytes + blockBytes
  return (
    contentBytes + workingBytes <= usableBytes &&
    unpacked.pages <= limits.pages &&
    unpacked.inodes <= limits.inodes &&
    // Each volume is a tmpfs without options.
    Math.max(volumes.largestPages, volumes.largestInodes) <= usablePages / 2
  )
}

function volumeBytes({ inodes, pages }: VolumeLoad): number {
  return inodes * BYTES_PER_INODE + pages * (PAGE_BYTES + BYTES_PER_PAGE)
}

/** What the kernel has when it mounts its root, before the ramdisks are unpacked and let go. */
function usableMemory(memoryMib: number, { kernelBytes, initrdBytes }: MemoryLoad): number {
  const { fromMib, mib } = BOUNCE_BUFFER
  const bounceMib = Math.min(Math.max(memoryMib - fromMib, 0), mib)
  const ownBytes = kernelBytes + FIXED_BYTES + SECTION_BYTES + memoryMib * MIB * SHARE_OF_MEMORY
  return (memoryMib - bounceMib) * MIB - ownBytes - initrdBytes - PAGE_BYTES
}

interface RootLimits {
  readonly pages: number
  readonly inodes: number
}

const UNLIMITED: RootLimits = { pages: Infinity, inodes: Infinity }

/**
 * The kernel's root is a tmpfs, of half of the memory unless `initramfs_options=` says otherwise, or
 * a ramfs, without limits, when the command line names a root device, as AWS's do, or another type
 * (Linux init/do_mounts.c, init_rootfs; mm/shmem.c).
 */
function rootLimits(cmdline: string, usablePages: number): RootLimits {
  const parameters = parseCmdline(cmdline)
  const type = parameters.get('rootfstype')
  if (type === undefined ? Boolean(parameters.get('root')) : !type.includes('tmpfs'))
    return UNLIMITED
  const half = Math.floor(usablePages / 2)
  const limits = { pages: half, inodes: half }
  for (const option of parameters.get('initramfs_options')?.split(',') ?? []) {
    const { name, count, unit } =
      /^(?<name>size|nr_inodes)=(?<count>\d+)(?<unit>[kmg%]?)$/i.exec(option)?.groups ?? {}
    if (count === undefined || unit === undefined) continue
    const value = Number(count) * (UNITS[unit.toLowerCase()] ?? 1)
    if (name === 'nr_inodes') limits.inodes = value === 0 ? Infinity : value
    else if (unit === '%') limits.pages = Math.floor((usablePages * value) / 100)
    else limits.pages = value === 0 ? Infinity : Math.ceil(value / PAGE_BYTES)
  }
  return limits
}

const UNITS: Readonly<Record<string, number>> = { k: KIB, m: MIB, g: KIB * MIB }

/** The last value of each parameter, up to `--`, behind which the init's own words begin. */
function parseCmdline(cmdline: string): ReadonlyMap<string, string> {
  const words = cmdline.split(/\s+/)
  const end = words.indexOf('--')
  const parameters = words.slice(0, end < 0 ? undefined : end).map((word): [string, string] => {
    const [name = ''] = word.split('=', 1)
    return [name, word.slice(name.length + 1)]
  })
  return new Map(parameters)
}
