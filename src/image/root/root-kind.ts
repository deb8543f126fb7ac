// How an image carries its root file system: as a compressed file system image, which our agent
// mounts, or unpacked under `rootfs/`, as nitro-cli lays it out and AWS's init expects it.

import { CloisterError } from '../../errors.ts'
import type { PlatformBlobs } from '../ramdisk/platform-blobs.ts'

export const ROOT_KINDS = ['squashfs', 'cpio'] as const
export type RootKind = (typeof ROOT_KINDS)[number]

/**
 * The kernel then keeps the ramdisks in memory and shows them as /sys/firmware/initrd (Linux
 * Documentation/admin-guide/kernel-parameters.txt).
 */
const RETAIN = 'retain_initrd'

export interface ChosenRoot {
  readonly kind: RootKind
  readonly cmdline: string
}

/**
 * Decides on the kind of root and the command line for it: a file system image where kernel, agent and
 * command line are ours and can mount one, unless `wanted` says otherwise. Our own command line gets
 * what a file system image needs; one that the user gave stays as it is.
 * @throws ERR_IMAGE_ROOT when `wanted` cannot work with this kernel or command line
 */
export function chooseRoot(wanted: RootKind | undefined, blobs: PlatformBlobs): ChosenRoot {
  const problem = problemWith(blobs)
  if (wanted === 'squashfs' && problem !== undefined) {
    throw new CloisterError('ERR_IMAGE_ROOT', `--root squashfs cannot work: ${problem}`)
  }
  const kind = wanted ?? (problem === undefined && areOurs(blobs) ? 'squashfs' : 'cpio')
  const needsWord = kind === 'squashfs' && blobs.isOwnCmdline && !retains(blobs.cmdline)
  return { kind, cmdline: needsWord ? `${blobs.cmdline} ${RETAIN}` : blobs.cmdline }
}

/** A kernel of ours has a flavour. Another init, such as AWS's, looks for `rootfs/`. */
function areOurs({ kernelFlavour, isOwnInit, mountsSquashfs }: PlatformBlobs): boolean {
  return kernelFlavour !== undefined && isOwnInit && mountsSquashfs === true
}

function problemWith({ mountsSquashfs, isOwnCmdline, cmdline }: PlatformBlobs): string | undefined {
  if (mountsSquashfs === false) return 'the kernel has no SquashFS, loop devices or overlays'
  if (!isOwnCmdline && !retains(cmdline)) return `the command line lacks ${RETAIN}`
  return undefined
}

function retains(cmdline: string): boolean {
  return cmdline.split(/\s+/).includes(RETAIN)
}
