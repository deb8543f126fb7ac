// The vsock card of one enclave, and what its journal keeps of refused connections.

import { vsockDirectory } from '../../enclaves/index.ts'
import {
  openHostKernel,
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

/**
 * @throws `ERR_PROCESS_SPAWN`, `ERR_VSOCK_CARD`, `ERR_VSOCK_PATH`, `ERR_VSOCK_PORTS`; where the enclave is
 * to have a CID of the host `ERR_VSOCK_KERNEL`, `ERR_VSOCK_CID`
 */
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
  // The card's copy is what keeps the CID, and ours must not outlive it.
  using hostKernel = request.description.vsock === 'kernel' ? openHostKernel() : undefined
  const card = await startVsockCard({
    ...prepareCard(request.programs.vsockCard, directory, users.vsockCard),
    guestCid: place.cid,
    reservedPorts: servedPorts(launch).join(','),
    reservedGuestPorts: launch.isPublished ? String(reservedGuestPorts.ingress) : undefined,
    ports: request.description.ports,
    hostKernel,
    hostVsock: request.description.vsock === 'host',
  })
  await adoptCard(card, launch)
  if (hostKernel !== undefined) journal.write(describeHostCid(place.cid))
  card.channel.onRefusal = (refusal) => {
    journal.writeOfGuest(describeRefusal(refusal, request.description))
  }
  return { card, vsock: new EnclaveVsock(card.channel, journal) }
}

/** What --vsock kernel means, for whoever reads how the enclave came about. */
function describeHostCid(cid: number): string {
  return `the CID ${String(cid)} is one of this host: every user of the host can connect to open guest ports and listen on open parent ports; all other ports stay closed`
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
