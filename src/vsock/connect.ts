// Host to guest: connect to the enclave's vsock socket, ask for a port with `CONNECT <port>\n`,
// wait for `OK <port>\n`. The protocol of Firecracker (docs/vsock.md) and vhost-device-vsock.

import { createConnection, type Socket } from 'node:net'
import { CloisterError, reasonOf } from '../errors.ts'
import { readLine } from '../subprocess/index.ts'

/** `OK 4294967295\n` and some room. */
const REPLY_MAX_BYTES = 32

export interface ConnectOptions {
  /** How long the guest may take to accept, in ms. */
  readonly timeoutMs?: number
  /** Whether the guest's end leaves the other way open, see `net.Socket`. */
  readonly allowHalfOpen?: boolean
}

/**
 * Opens a stream to `port` inside the guest.
 *
 * @param socketPath - The enclave's `vsock.sock`.
 * @throws `ERR_VSOCK_CONNECT` when the enclave is gone or nothing listens on that port.
 */
export async function connectGuest(
  socketPath: string,
  port: number,
  { timeoutMs = 5000, allowHalfOpen = false }: ConnectOptions = {},
): Promise<Socket> {
  const socket = createConnection({ path: socketPath, allowHalfOpen })
  const timer = setTimeout(() => {
    socket.destroy(new Error(`no answer within ${String(timeoutMs)} ms`))
  }, timeoutMs)
  try {
    socket.write(`CONNECT ${String(port)}\n`)
    const reply = await readLine(socket, REPLY_MAX_BYTES)
    if (!/^OK \d{1,10}$/.test(reply))
      throw new Error(`the vsock card replied ${JSON.stringify(reply)}`)
    return socket
  } catch (cause) {
    socket.destroy()
    throw new CloisterError(
      'ERR_VSOCK_CONNECT',
      `cannot connect to port ${String(port)} of the guest: ${reasonOf(cause)}`,
      { cause, details: { port, socketPath } },
    )
  } finally {
    clearTimeout(timer)
  }
}
