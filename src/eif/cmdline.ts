// The cmdline section: the kernel's command line, byte for byte. A NUL would end the line for the
// kernel while the PCR covers what follows, so it is refused, and so is whatever is not one line of
// printable ASCII: a person who inspects an image must see what the kernel sees.

import { check } from '../errors.ts'
import { MAX_BUFFERED_BYTES } from './layout.ts'

const printable = /^[\x20-\x7e]*$/

/** @throws ERR_EIF_CMDLINE */
export function decodeCmdline(bytes: Uint8Array): string {
  const cmdline = new TextDecoder('latin1').decode(bytes)
  check(printable.test(cmdline), 'ERR_EIF_CMDLINE', 'the command line is not printable ASCII')
  return cmdline
}

/** @throws ERR_EIF_CMDLINE */
export function encodeCmdline(cmdline: string): Uint8Array {
  const length = cmdline.length
  const fits = printable.test(cmdline) && length <= MAX_BUFFERED_BYTES.cmdline
  check(fits, 'ERR_EIF_CMDLINE', 'the command line is too long or not printable ASCII', {
    details: { length, limit: MAX_BUFFERED_BYTES.cmdline },
  })
  return new TextEncoder().encode(cmdline)
}
