// Tells a service manager that waits for it that this command is ready (sd_notify(3)).
// Node has no datagram sockets of the host's own kind, so systemd's program sends the message.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { reasonOf } from '../errors.ts'
import { printProgress } from './print.ts'

/** Far more than it takes. */
const TIMEOUT_MS = 10_000

/** Tells the service manager of NOTIFY_SOCKET, where there is one. Never rejects. */
export async function notifyReady(): Promise<void> {
  if (process.env['NOTIFY_SOCKET'] === undefined) return
  try {
    await promisify(execFile)('systemd-notify', ['--ready'], { timeout: TIMEOUT_MS })
  } catch (error) {
    printProgress(
      `Could not tell the service manager that this command is ready: ${reasonOf(error)}`,
    )
  }
}
