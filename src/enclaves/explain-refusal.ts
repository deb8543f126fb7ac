// Why a port of the guest refused a connection: whether it is closed, or nothing listens there.

import { CloisterError } from '../errors.ts'
import { listsPort } from '../vsock/index.ts'
import { shellWord } from '../shell-word.ts'
import { askVsock } from './keeper-client.ts'

export interface GuestPort {
  /** The enclave's. */
  readonly directory: string
  /** The enclave's. */
  readonly name: string
  readonly port: number
}

const NO_LISTENER =
  'Check that the app listens on this vsock port, or wait longer (--timeout; --boot-timeout of run-enclave). ' +
  'A port of TCP is reached with run-enclave --publish (docs/network.md).'

/**
 * @param cause - Why the connection failed, as it was seen.
 * @returns An error that says which of the two it is; `cause` itself when the keeper does not say.
 */
export async function explainRefusal(
  cause: unknown,
  { directory, name, port }: GuestPort,
): Promise<unknown> {
  const report = await askVsock(directory, false).catch(() => undefined)
  if (report === undefined) return cause
  const isOpen = listsPort(report.guestPorts, port)
  const message = isOpen
    ? `nothing in ${name} listens on port ${String(port)}`
    : `port ${String(port)} of ${name} is not open`
  const hint = isOpen
    ? NO_LISTENER
    : `Open it with \`cloister open-ports --enclave-name ${shellWord(name)} --guest-ports ${String(port)}\`, or give --guest-ports to run-enclave.`
  return new CloisterError('ERR_VSOCK_CONNECT', message, {
    ...{ cause, hint },
    details: { port, guestPorts: report.guestPorts },
  })
}
