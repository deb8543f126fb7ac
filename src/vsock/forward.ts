// Forwardings between the host and the vsock ports of one enclave, until they are disposed of. Each
// has a bounded number of connections, and a connection holds what the buffers of two sockets hold.

import { createConnection, type Socket } from 'node:net'
import { once } from 'node:events'
import { connectGuest } from './connect.ts'
import { describeHostEnd, type Forwarding, type HostEnd } from './forward-spec.ts'
import { checkSocketPath } from './listen.ts'
import { Relays } from './relays.ts'
import { CloisterError, reasonOf } from '../errors.ts'

const CONNECT_TIMEOUT_MS = 10_000
/** Every user's: the card is a user of its own. The directories above let in nobody else. */
const FOR_THE_CARD = 0o666
const FOR_THE_OWNER = 0o600

export interface ForwardOptions {
  /** The enclave's vsock socket. */
  readonly socketPath: string
  /** Takes why a connection was not made. */
  readonly onFailure: (error: unknown) => void
}

/** What listens, and where. */
export interface Forwarded extends AsyncDisposable {
  /** With the port that was chosen for port 0. */
  readonly hostEnd: HostEnd
}

/**
 * What connects to the host's end reaches the guest's port. A unix socket is its owner's alone.
 *
 * @throws `ERR_VSOCK_LISTEN`, `ERR_VSOCK_PATH`
 */
export async function forwardToGuest(
  { hostEnd, vsockPort }: Forwarding,
  { socketPath, onFailure }: ForwardOptions,
): Promise<Forwarded> {
  const connect = (): Promise<Socket> =>
    connectGuest(socketPath, vsockPort, { allowHalfOpen: true, timeoutMs: CONNECT_TIMEOUT_MS })
  if ('path' in hostEnd) checkSocketPath(hostEnd.path)
  return new Relays({ connect, onFailure }).listen(hostEnd, FOR_THE_OWNER)
}

/**
 * The guest that dials the port of its parent reaches the host's end.
 *
 * @throws `ERR_VSOCK_LISTEN` also when another program serves the port, `ERR_VSOCK_PATH`
 */
export async function forwardToHost(
  { hostEnd, vsockPort }: Forwarding,
  { socketPath, onFailure }: ForwardOptions,
): Promise<Forwarded> {
  const path = `${socketPath}_${String(vsockPort)}`
  checkSocketPath(path)
  const connect = (): Promise<Socket> => connectHostEnd(hostEnd)
  return new Relays({ connect, onFailure }).listen({ path }, FOR_THE_CARD)
}

/** @throws `ERR_VSOCK_FORWARD_TARGET` */
async function connectHostEnd(end: HostEnd): Promise<Socket> {
  const socket = createConnection({ ...end, allowHalfOpen: true, noDelay: true, keepAlive: true })
  const timer = setTimeout(() => {
    socket.destroy(new Error(`no answer within ${String(CONNECT_TIMEOUT_MS / 1000)} s`))
  }, CONNECT_TIMEOUT_MS)
  try {
    await once(socket, 'connect')
    return socket
  } catch (cause) {
    const message = `cannot connect to ${describeHostEnd(end)}: ${reasonOf(cause)}`
    throw new CloisterError('ERR_VSOCK_FORWARD_TARGET', message, { cause, details: { ...end } })
  } finally {
    clearTimeout(timer)
  }
}
