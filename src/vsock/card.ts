// The vsock card of one enclave (cards/vsock), which QEMU talks to over one socket and the host over
// another.

import { join } from 'node:path'
import {
  checkDescriptorLimit,
  FIRST_INHERITED_FD,
  startCard,
  type Card,
  type Confinement,
} from '../subprocess/index.ts'
import { VsockCardChannel } from './card-channel.ts'
import type { HostKernel } from './host-kernel.ts'
import { checkSocketPath } from './listen.ts'
import type { PortLists } from './port-list.ts'

const HOST_SOCKET = 'vsock.sock'
/** A connection takes one; the card opens 64 for itself (cards/vsock, `allow_descriptors`). */
const NEEDED_DESCRIPTORS = 2048 + 64

/** A host with much else to do may take this long to run the card's worker for the first time. */
const FIRST_ANSWER_MS = 15_000

export interface VsockCardOptions {
  /** The cloister-vsock program. */
  readonly program: string
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly guestCid: number
  /** Ports of the parent that stay open, as a list. */
  readonly reservedPorts: string
  /** Ports of the guest that stay open, as a list; absent: none. */
  readonly reservedGuestPorts?: string | undefined
  /** Open beside the reserved ones. */
  readonly ports: PortLists
  /** Whether a parent port without a listener here is dialled at the host's own AF_VSOCK. */
  readonly hostVsock?: boolean
  /** The open device by which the guest's CID becomes one of this host; stays the caller's. */
  readonly hostKernel?: HostKernel | undefined
  readonly confinement: Confinement
}

export interface VsockCard extends Omit<Card, 'channel'> {
  readonly channel: VsockCardChannel
  /** The host's end: see `connectGuest` and `listenForGuest`. */
  readonly socketPath: string
}

/**
 * Starts the card and opens its ports.
 *
 * @throws `ERR_PROCESS_SPAWN`, `ERR_VSOCK_CARD` when it does not come up, `ERR_VSOCK_PATH`,
 * `ERR_VSOCK_PORTS`, `ERR_HOST_DESCRIPTORS` when it could not serve as many connections as an enclave
 * may have, `ERR_VSOCK_CID` when the CID is to be one of this host and another virtual machine has it.
 */
export async function startVsockCard(options: VsockCardOptions): Promise<VsockCard> {
  const { program, directory, confinement } = options
  const socketPath = join(directory, HOST_SOCKET)
  checkSocketPath(socketPath)
  checkDescriptorLimit(NEEDED_DESCRIPTORS, 'an enclave')
  const card = await startCard({
    name: 'vsock card',
    command: [program, ...cardArguments(options)],
    inherited: options.hostKernel === undefined ? [] : [options.hostKernel.fd],
    directory,
    confinement,
  })
  try {
    const channel = new VsockCardChannel(card.channel)
    await channel.openPorts(options.ports, FIRST_ANSWER_MS)
    return { ...card, channel, socketPath }
  } catch (error) {
    await card[Symbol.asyncDispose]()
    throw error
  }
}

function cardArguments({
  guestCid,
  reservedPorts,
  reservedGuestPorts,
  hostVsock = false,
  hostKernel,
}: VsockCardOptions): readonly string[] {
  return [
    ...['--guest-cid', String(guestCid)],
    ...['--uds-path', HOST_SOCKET],
    ...['--reserved-ports', reservedPorts],
    ...(reservedGuestPorts === undefined ? [] : ['--reserved-guest-ports', reservedGuestPorts]),
    ...(hostVsock ? ['--host-vsock'] : []),
    ...(hostKernel === undefined ? [] : ['--kernel', `fd=${String(FIRST_INHERITED_FD)}`]),
    '--exit-on-disconnect',
  ]
}
