// The vsock card of one enclave, and what its journal keeps of refused connections.

import { vsockDirectory } from '../../enclaves/index.ts'
import {
  reservedGuestPorts,
  reservedPorts,
  startVsockCard,
  type VsockCard,
} from '../../vsock/index.ts'
import { adoptCard, prepareCard, type CardLaunch } from './card-directory.ts'
import { describeRefusal, EnclaveVsock } from './vsock-ports.ts'

export interface EnclaveCard {
  readonly card: VsockCard
  readonly vsock: EnclaveVsock
}

/** @throws `ERR_PROCESS_SPAWN`, `ERR_VSOCK_CARD`, `ERR_VSOCK_PATH`, `ERR_VSOCK_PORTS` */
export async function startEnclaveVsockCard(
  launch: CardLaunch & {
    /** Whether the NSM card serves the guest's NSM, and not port 9001. */
    readonly hasNsmCard: boolean
    /** Whether the network card serves port 9003. */
    readonly hasNetwork: boolean
    /** Whether the network card dials the guest for clients of published ports. */
    readonly isPublished: boolean
  },
): Promise<EnclaveCard> {
  const { request, place, users, journal } = launch
  const directory = vsockDirectory(place.directory)
  const card = await startVsockCard({
    ...prepareCard(request.programs.vsockCard, directory, users.vsockCard),
    guestCid: place.cid,
    reservedPorts: servedPorts(launch).join(','),
    reservedGuestPorts: launch.isPublished ? String(reservedGuestPorts.ingress) : undefined,
    ports: request.description.ports,
    hostVsock: request.description.vsock === 'host',
  })
  await adoptCard(card, launch)
  card.channel.onRefusal = (refusal) => {
    journal.writeOfGuest(describeRefusal(refusal, request.description))
  }
  return { card, vsock: new EnclaveVsock(card.channel, journal) }
}

function servedPorts({
  hasNsmCard,
  hasNetwork,
}: {
  readonly hasNsmCard: boolean
  readonly hasNetwork: boolean
}): readonly number[] {
  const { heartbeat, nsm, agent, network } = reservedPorts
  return [heartbeat, ...(hasNsmCard ? [] : [nsm]), agent, ...(hasNetwork ? [network] : [])]
}
