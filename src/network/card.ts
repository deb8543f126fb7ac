// The network card of one enclave (cards/network): the vsock card connects the guest's streams to its socket.

import type { EgressPolicy } from '../manifest/index.ts'
import {
  checkDescriptorLimit,
  identifyChild,
  killProcess,
  listenForChild,
  startProcess,
  whenReady,
  type CardSandbox,
  type Confinement,
  type ManagedProcess,
  type ProcessIdentity,
} from '../subprocess/index.ts'
import type { BoundSocket } from './bound-socket.ts'
import { NetworkCardChannel } from './card-channel.ts'

/** The card's descriptors: the channel to us, the guest's way in, and then published ports. */
const cardFds = { channel: 3, listen: 4, firstPublished: 5 } as const
/** Fewer than the vsock card's 2048 connections, some of which are the agent's. */
const MAX_FLOWS = 2032
/** Two for a flow, one for each of 512 questions, and some for itself (cards/network, `serve`). */
const NEEDED_DESCRIPTORS = 2 * MAX_FLOWS + 512 + 64
/** There for a moment: it gets the name that the vsock card connects to. */
const SOCKET = 'guest.sock'

export interface NetworkCardOptions {
  /** The cloister-network program, as seen from the directory. */
  readonly program: string
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly confinement: Confinement
  /** The unix socket of the guest's port, and who connects to it. */
  readonly guestSocket: { readonly path: string; readonly uid?: number | undefined }
  /** The policy that was measured. */
  readonly image: EgressPolicy
  /** The operator's; absent: what the image says. */
  readonly host?: EgressPolicy | undefined
  /** `address:port` each. */
  readonly resolvers: readonly string[]
  /** Bound sockets, which the keeper keeps. */
  readonly published: readonly BoundSocket[]
}

/** A card that serves; disposing of it ends its process. */
export interface NetworkCard extends AsyncDisposable {
  readonly process: ManagedProcess
  /** Its second process, which ends with it: there while ports are published. */
  readonly dialler: ProcessIdentity | undefined
  readonly sandbox: CardSandbox
  readonly channel: NetworkCardChannel
}

/**
 * Starts the card and waits until it serves.
 *
 * @throws `ERR_PROCESS_SPAWN`, `ERR_NETWORK_CARD` when it does not come up, `ERR_HOST_DESCRIPTORS` when it could
 * not serve as many flows as an enclave may have.
 */
export async function startNetworkCard(options: NetworkCardOptions): Promise<NetworkCard> {
  checkDescriptorLimit(NEEDED_DESCRIPTORS, 'an enclave with a network')
  const { image, host = null, resolvers } = options
  const published = options.published.map(({ protocol, guestPort }, index) => ({
    ...{ fd: cardFds.firstPublished + index, protocol, guestPort },
  }))
  const card = await spawnCard(options)
  const channel = card.channel(cardFds.channel)
  try {
    channel.write(`${JSON.stringify({ image, host, resolvers, maxFlows: MAX_FLOWS, published })}\n`)
    const { sandbox, diallerPid } = await whenReady(card, channel, 'network card')
    const dialler = identifyChild(diallerPid ?? 0, card.pid)
    // It ends by itself unless it is stopped, and no signal of the card reaches it: Landlock keeps the two apart.
    if (dialler !== undefined) void card.ended.then(() => killProcess(dialler))
    return {
      process: card,
      ...{ dialler, sandbox },
      channel: new NetworkCardChannel(channel),
      [Symbol.asyncDispose]: () => card[Symbol.asyncDispose](),
    }
  } catch (error) {
    await card[Symbol.asyncDispose]()
    throw error
  }
}

async function spawnCard({
  program,
  directory,
  confinement,
  guestSocket,
  published,
}: NetworkCardOptions): Promise<ManagedProcess> {
  const listener = await listenForChild(`${directory}/${SOCKET}`, guestSocket)
  // Before the event loop turns, so that no stream becomes ours.
  const starting = startProcess({
    name: 'network card',
    command: [
      ...[program, '--listen', `fd=${String(cardFds.listen)}`],
      ...['--channel', `fd=${String(cardFds.channel)}`],
    ],
    cwd: directory,
    confinement,
    extraStdio: ['pipe', listener.fd, ...published.map(({ fd }) => fd)],
  })
  listener.release()
  return await starting
}
