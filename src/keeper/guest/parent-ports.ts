// The ports of the parent that a guest needs: heartbeat, agent and, without an NSM card, the NSM. They
// exist before the guest does. What a guest can make the keeper hold is bounded: few connections for
// each port, and for each of them one chunk of what it sent and one answer.

import type { Socket } from 'node:net'
import type { Lifetime } from '../../subprocess/index.ts'
import { listenForGuest, reservedPorts } from '../../vsock/index.ts'
import type { GuestReports } from './guest-reports.ts'
import { serveHeartbeat } from './heartbeat.ts'
import { serveNsm } from './nsm-channel.ts'
import type { PartUsers } from '../parts/part-users.ts'

export interface ParentPortsOptions {
  /** The enclave's vsock socket; the listeners are made beside it. */
  readonly socketPath: string
  readonly lifetime: Lifetime
  readonly guest: GuestReports
  readonly users: PartUsers
  /** Absent where the NSM card serves the guest: then port 9001 is not served. */
  readonly handleNsm: ((request: Uint8Array) => Promise<Uint8Array>) | undefined
}

/**
 * Connections served at a time; a guest that opens more is hung up on. The agent keeps its connection
 * to the NSM, so an app that dials the port in its place is refused.
 */
const MAX_CONNECTIONS = { heartbeat: 4, nsm: 1, agent: 1 } as const

/** @throws `ERR_VSOCK_LISTEN`, `ERR_VSOCK_PATH` */
export async function serveParentPorts(options: ParentPortsOptions): Promise<void> {
  const { socketPath, lifetime, guest, users, handleNsm } = options
  const serve = async (
    name: keyof typeof reservedPorts,
    service: (socket: Socket) => Promise<void>,
  ): Promise<void> => {
    const cardUid = users.vsockCard.uid
    const [port, maxConnections] = [reservedPorts[name], MAX_CONNECTIONS[name]]
    await lifetime.own(await listenForGuest({ socketPath, port, cardUid, maxConnections }, service))
  }
  await serve('heartbeat', (socket) => serveHeartbeat(socket, guest.onHeartbeat))
  if (handleNsm !== undefined) await serve('nsm', (socket) => serveNsm(socket, handleNsm))
  await serve('agent', (socket) => guest.listen(socket))
}
