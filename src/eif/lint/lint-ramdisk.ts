// Rules for one ramdisk.

import type { Overwrites } from '../overwrites.ts'
import { PLATFORMS, type Findings } from './findings.ts'

/** The first byte of a "newc" archive. */
const RAW_CPIO = 0x30

export interface SeenRamdisk {
  /** Whether all of it could be read. */
  readonly isRead: boolean
  readonly overwrites: Overwrites
  /** Its first byte. */
  readonly first: number | undefined
  /** Bytes of all ramdisks before it. */
  readonly initrdBytes: number
}

export function lintRamdisk(
  { isRead, overwrites, first, initrdBytes }: SeenRamdisk,
  findings: Findings,
): void {
  const warn = (rule: string, message: string): void => {
    findings.warning(rule, PLATFORMS, message)
  }
  if (!isRead)
    warn(
      'ramdisk-format',
      'a ramdisk is not a sequence of cpio archives (raw or gzip), or unpacks to too many bytes',
    )
  if (overwrites.hasRepeatedName)
    warn(
      'ramdisk-repeated-name',
      'two members of a ramdisk have the same path: the kernel keeps the last one, other readers the first',
    )
  if (overwrites.hasRewrittenLink)
    warn(
      'ramdisk-rewritten-link',
      'a second link to a file in a ramdisk carries contents or attributes, which change the first name too',
    )
  if (overwrites.isFull)
    warn('ramdisk-too-many-names', 'a ramdisk has too many names: not all of them were checked')
  if (first === RAW_CPIO && initrdBytes % 4 !== 0)
    findings.error(
      'ramdisk-alignment',
      PLATFORMS,
      'a raw cpio archive does not begin at a multiple of 4 bytes, counted over all ramdisks: the kernel does not read it',
    )
}
