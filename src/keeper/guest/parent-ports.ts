// The ports of the parent that every guest needs: heartbeat, NSM, agent. They exist before the
// guest does.

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
  readonly handleNsm: (request: Uint8Array) => Promise<Uint8Array>
}

/** @throws `ERR_VSOCK_LISTEN`, `ERR_VSOCK_PATH` */
export async function serveParentPorts(options: ParentPortsOptions): Promise<void> {
  const { socketPath, lifetime, guest, users, handleNsm } = options
  const serve = async (port: number, service: (socket: Socket) => Promise<void>): Promise<void> => {
    const cardUid = users.vsockCard.uid
    await lifetime.own(await listenForGuest({ socketPath, port, cardUid }, service))
  }
  await serve(reservedPorts.heartbeat, (socket) => serveHeartbeat(socket, guest.onHeartbeat))
  await serve(reservedPorts.nsm, (socket) => serveNsm(socket, handleNsm))
  await serve(reservedPorts.agent, (socket) => guest.listen(socket))
}
