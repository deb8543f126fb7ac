// The vsock card of one enclave (cards/vsock): a vhost-user back end in a process of its own, which
// QEMU talks to over one socket and the host over another. It runs in a directory that belongs to
// its user and names its sockets relative to it, so it needs no right to any directory above.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { CloisterError } from '../errors.ts'
import {
  cardFds,
  checkDescriptorLimit,
  startCardProcess,
  type Confinement,
  type ManagedProcess,
} from '../subprocess/index.ts'
import { CardControl, type CardSandbox } from './card-control.ts'
import { checkSocketPath } from './listen.ts'
import { policyTexts, type PortPolicy } from './port-policy.ts'

const HOST_SOCKET = 'vsock.sock'
const START_TIMEOUT_MS = 5000
/** A connection takes one; the card opens 64 for itself (cards/vsock, `allow_descriptors`). */
const NEEDED_DESCRIPTORS = 2048 + 64

export interface VsockCardOptions {
  /** The cloister-vsock program. */
  readonly program: string
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly guestCid: number
  readonly policy: PortPolicy
  readonly confinement: Confinement
}

export interface VsockCard extends AsyncDisposable {
  readonly process: ManagedProcess
  readonly control: CardControl
  /** The host's end: see `connectGuest` and `listenForGuest`. */
  readonly socketPath: string
  readonly sandbox: CardSandbox
  /** Connected to the card, for the VMM to inherit; there is no other way to the card. */
  readonly vmm: Socket
}

/**
 * Starts the card and waits until it listens and its sandbox is closed. It ends with us, and with
 * the VMM.
 *
 * @throws `ERR_PROCESS_SPAWN`, `ERR_VSOCK_CARD` when it does not come up, `ERR_VSOCK_PATH`,
 * `ERR_HOST_DESCRIPTORS` when it could not serve as many connections as an enclave may have.
 */
export async function startVsockCard(options: VsockCardOptions): Promise<VsockCard> {
  const socketPath = join(options.directory, HOST_SOCKET)
  checkSocketPath(socketPath)
  checkDescriptorLimit(NEEDED_DESCRIPTORS, 'an enclave')
  const { process: card, vmm } = await startCardProcess({
    name: 'vsock card',
    command: [options.program, ...cardArguments(options)],
    cwd: options.directory,
    confinement: options.confinement,
  })
  const control = new CardControl(card.channel(cardFds.keeper))
  const end = async (): Promise<void> => {
    vmm.destroy()
    await card[Symbol.asyncDispose]()
  }
  try {
    const sandbox = await whenReady(card, control)
    if (vmm.connecting) await once(vmm, 'connect')
    return { process: card, control, socketPath, sandbox, vmm, [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}

function cardArguments({ guestCid, policy }: VsockCardOptions): readonly string[] {
  const { parentPorts, guestPorts } = policyTexts(policy)
  return [
    ...['--guest-cid', String(guestCid)],
    ...['--vhost-user', `fd=${cardFds.vhostUser}`],
    ...['--uds-path', HOST_SOCKET],
    ...['--control', `fd=${cardFds.keeper}`],
    ...['--parent-ports', parentPorts],
    ...['--guest-ports', guestPorts],
    '--exit-on-disconnect',
  ]
}

async function whenReady(card: ManagedProcess, control: CardControl): Promise<CardSandbox> {
  const timer = setTimeout(() => {
    control.close()
  }, START_TIMEOUT_MS)
  const sandbox = await control.ready
  clearTimeout(timer)
  if (sandbox !== undefined) return sandbox
  const lastWords = await card.finalWords()
  throw new CloisterError('ERR_VSOCK_CARD', `the vsock card did not come up: ${lastWords}`, {
    details: { stderr: lastWords },
  })
}
