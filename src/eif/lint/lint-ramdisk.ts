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
      'a ramdisk is not made of cpio archives, raw or in gzip, or unpacks to too much',
    )
  if (overwrites.hasRepeatedName)
    warn(
      'ramdisk-repeated-name',
      'two members of a ramdisk have one path: the kernel keeps the last, other readers the first',
    )
  if (overwrites.hasRewrittenLink)
    warn(
      'ramdisk-rewritten-link',
      'a second link to a file in a ramdisk brings contents or attributes: the first name gets them too',
    )
  if (overwrites.isFull)
    warn('ramdisk-too-many-names', 'a ramdisk has more names than are looked at')
  if (first === RAW_CPIO && initrdBytes % 4 !== 0)
    findings.error(
      'ramdisk-alignment',
      PLATFORMS,
      'a raw cpio archive begins at no multiple of 4 of all ramdisks together: the kernel does not read it',
    )
}
