// The kernels that enclave-images/kernel builds, and what a kernel's configuration says about it. In
// the blobs directory the kernel of the flavour `standard` is at the top, that of `minimal` in a
// directory of that name.

import { join } from 'node:path'

import { check } from '../../errors.ts'

export const KERNEL_FLAVOURS = ['standard', 'minimal'] as const
export type KernelFlavour = (typeof KERNEL_FLAVOURS)[number]

/** What the metadata says about the kernel; "Unknown" without its configuration. */
export interface KernelLabels {
  readonly operatingSystem: string
  readonly kernelVersion: string
  /** Absent for a kernel that is not one of ours. */
  readonly kernelFlavour?: string
  /** Whether it can mount a SquashFS image of a ramdisk; undefined when its configuration is unknown. */
  readonly mountsSquashfs?: boolean
  /** Whether it can have the network device of an enclave; undefined when its configuration is unknown. */
  readonly hasTun?: boolean
}

/** What the agent's mounts of a file system image need. */
const SQUASHFS_OPTIONS = ['SQUASHFS_ZSTD', 'SQUASHFS_XATTR', 'BLK_DEV_LOOP', 'OVERLAY_FS']

/** Where a flavour's kernel and configuration are. */
export function kernelDirectory(blobs: string, flavour: KernelFlavour | undefined): string {
  return flavour === 'minimal' ? join(blobs, flavour) : blobs
}

/**
 * Line 3 is `# Linux/x86 6.12.107 Kernel Configuration`; the words that nitro-cli takes. The flavour
 * is in the local version, which `uname -r` shows in the enclave too: `-enclave-standard`, or
 * `-enclave` for `minimal`.
 */
export function parseKernelConfig(config: string): KernelLabels {
  const words = (config.split('\n')[2] ?? '').split(/[ /-]/)
  const local = /^CONFIG_LOCALVERSION="-enclave(?:-([a-z]+))?"$/m.exec(config)
  return {
    operatingSystem: words[1] ?? 'Unknown',
    kernelVersion: words[3] ?? 'Unknown',
    ...(local !== null && { kernelFlavour: local[1] ?? 'minimal' }),
    ...(config !== '' && {
      mountsSquashfs: SQUASHFS_OPTIONS.every((name) => has(config, name)),
      hasTun: has(config, 'TUN'),
    }),
  }
}

function has(config: string, option: string): boolean {
  return config.includes(`\nCONFIG_${option}=y\n`)
}

/** @throws ERR_IMAGE_BLOBS when the kernel is not of the flavour that was asked for */
export function checkFlavour(
  kernel: string,
  wanted: KernelFlavour | undefined,
  { kernelFlavour: actual }: KernelLabels,
): void {
  const isRight = wanted === undefined || wanted === actual
  check(isRight, 'ERR_IMAGE_BLOBS', `${kernel} is not a kernel of the flavour ${wanted ?? ''}`, {
    details: { path: kernel, wanted, actual },
  })
}
