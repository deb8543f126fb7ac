// Whether a QEMU knows a device: it then prints the device's options. Versions do not tell, as
// distributions leave devices out, and the exit status is 0 either way.

import { execFile } from 'node:child_process'
import { confine, PROGRAM_PATH, type Confinement } from '../subprocess/index.ts'

/** Far longer than QEMU takes on a busy host; one that hangs is taken to know nothing. */
const TIMEOUT_MS = 60_000

/**
 * Asks the QEMU program `program` for the options of `device`, run as the user that will run it. A
 * program that cannot be run offers nothing.
 */
export function offersDevice(
  program: string,
  device: string,
  confinement: Confinement,
): Promise<boolean> {
  const [command = '', ...args] = confine([program, '-device', `${device},help`], confinement)
  const options = { cwd: '/', env: { PATH: PROGRAM_PATH, LC_ALL: 'C' }, timeout: TIMEOUT_MS }
  return new Promise((resolve) => {
    execFile(command, args, options, (_, stdout) => {
      resolve(stdout.startsWith(`${device} options:`))
    })
  })
}
