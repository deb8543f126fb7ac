// The cmdline section: the kernel's command line, byte for byte. AWS's tools write any text into it. What
// we write is one line of printable ASCII, as long as a kernel takes: a person who inspects an image
// then sees what the kernel sees. A NUL is never read: it would end the line for the kernel while the PCR
// covers what follows.

import { CloisterError, check } from '../errors.ts'
import { MAX_KERNEL_CMDLINE_BYTES } from './layout.ts'

const printable = /^[\x20-\x7e]*$/

/** @throws ERR_EIF_CMDLINE when it is not UTF-8, or has a NUL */
export function decodeCmdline(bytes: Uint8Array): string {
  check(!bytes.includes(0), 'ERR_EIF_CMDLINE', 'the command line contains a NUL byte')
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new CloisterError('ERR_EIF_CMDLINE', 'the command line is not UTF-8', { cause })
  }
}

/** @throws ERR_EIF_CMDLINE */
export function encodeCmdline(cmdline: string): Uint8Array {
  const length = cmdline.length
  const fits = printable.test(cmdline) && length <= MAX_KERNEL_CMDLINE_BYTES
  check(fits, 'ERR_EIF_CMDLINE', 'the command line is too long or not printable ASCII', {
    details: { length, limit: MAX_KERNEL_CMDLINE_BYTES },
  })
  return new TextEncoder().encode(cmdline)
}

/**
 * Checks that a kernel takes a command line whole.
 * @throws ERR_EIF_CMDLINE
 */
export function checkCmdlineLength(cmdline: string): void {
  const length = Buffer.byteLength(cmdline)
  const message = `the command line has ${String(length)} bytes, more than a kernel accepts`
  check(length <= MAX_KERNEL_CMDLINE_BYTES, 'ERR_EIF_CMDLINE', message, {
    details: { length, limit: MAX_KERNEL_CMDLINE_BYTES },
  })
}
