// The ports of the parent that a guest needs: heartbeat, agent and, without an NSM card, the NSM. They
// exist before the guest does. What a guest can make the keeper hold is bounded: few connections for
// each port, and for each of them one chunk of what it sent and one answer.

import type { Socket } from 'node:net'
import type { Lifetime } from '../../subprocess/index.ts'
import { listenForGuest, reservedPorts } from '../../vsock/index.ts'
import type { LaunchRequest, Place } from '../../enclaves/index.ts'
import type { Journal } from '../journal.ts'
import type { GuestReports } from './guest-reports.ts'
import { serveHeartbeat } from './heartbeat.ts'
import { LogChannel } from './log-channel.ts'
import { LogFile } from './log-file.ts'
import { serveNsm } from './nsm-channel.ts'
import type { MeasuredImage } from '../parts/measured-image.ts'
import type { PartUsers } from '../parts/part-users.ts'

export interface ParentPortsOptions {
  /** The enclave's vsock socket; the listeners are made beside it. */
  readonly socketPath: string
  readonly lifetime: Lifetime
  readonly guest: GuestReports
  readonly users: PartUsers
  readonly place: Place
  readonly journal: Journal
  readonly request: Pick<LaunchRequest, 'description'>
  readonly image: Pick<MeasuredImage, 'manifest'>
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
  const hasLog = await openLog(options)
  const serve = async (
    name: keyof typeof MAX_CONNECTIONS,
    service: (socket: Socket) => Promise<void>,
  ): Promise<void> => {
    const cardUid = users.vsockCard.uid
    const port = reservedPorts[name]
    const maxConnections = MAX_CONNECTIONS[name] + (name === 'agent' && hasLog ? 1 : 0)
    await lifetime.own(await listenForGuest({ socketPath, port, cardUid, maxConnections }, service))
  }
  await serve('heartbeat', (socket) => serveHeartbeat(socket, guest.onHeartbeat))
  if (handleNsm !== undefined) await serve('nsm', (socket) => serveNsm(socket, handleNsm))
  await serve('agent', (socket) => guest.listen(socket))
}

/** A log where the manifest lets lines leave, outside debug mode; then there is a second connection. */
async function openLog({
  lifetime,
  guest,
  journal,
  place,
  request,
  image,
}: ParentPortsOptions): Promise<boolean> {
  const logs = request.description.debug ? undefined : image.manifest?.logs
  if (logs === undefined || logs.stdout.length + logs.stderr.length === 0) return false
  const file = await lifetime.own(new LogFile(place.directory))
  guest.logs = new LogChannel(logs, file, journal)
  return true
}
