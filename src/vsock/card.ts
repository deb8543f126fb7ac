// The vsock card of one enclave (cards/vsock): a vhost-user back end in a process of its own, which
// QEMU talks to over one socket and the host over another. It runs in a directory that belongs to
// its user and names its sockets relative to it, so it needs no right to any directory above.

import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { CloisterError } from '../errors.ts'
import { readLine, startProcess, type Confinement, type ManagedProcess } from '../process/index.ts'
import { checkSocketPath } from './listen.ts'

const VHOST_USER_SOCKET = 'vhost-user.sock'
const HOST_SOCKET = 'vsock.sock'
/** The card's descriptor of the channel to us; the card ends when that closes. */
const CONTROL_FD = 3
const START_TIMEOUT_MS = 5000
const EVENT_MAX_BYTES = 4096

export interface VsockCardOptions {
  /** The cloister-vsock program. */
  readonly program: string
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly guestCid: number
  readonly confinement: Confinement
}

/** What the card gave up before it listened. */
export interface CardSandbox {
  readonly landlock: 'full' | 'partial' | 'none'
  readonly seccomp: boolean
}

export interface VsockCard {
  readonly process: ManagedProcess
  /** The host's end: see `connectGuest` and `listenForGuest`. */
  readonly socketPath: string
  readonly sandbox: CardSandbox
  /** Connects to the card's vhost-user socket, for the VMM to inherit. */
  readonly connectVmm: () => Promise<Socket>
}

/**
 * Starts the card and waits until it listens and its sandbox is closed. Both port policies are open:
 * a port of the parent exists only while its owner listens on it, and the host's end is a socket
 * that only the owner can reach.
 *
 * @throws `ERR_PROCESS_SPAWN`, `ERR_VSOCK_CARD` when it does not come up.
 */
export async function startVsockCard(options: VsockCardOptions): Promise<VsockCard> {
  const socketPath = join(options.directory, HOST_SOCKET)
  const vhostUserPath = join(options.directory, VHOST_USER_SOCKET)
  checkSocketPath(vhostUserPath)
  const card = await startProcess({
    name: 'vsock card',
    command: [options.program, ...cardArguments(options.guestCid)],
    cwd: options.directory,
    confinement: options.confinement,
    extraStdio: ['pipe'],
  })
  try {
    const sandbox = await whenReady(card)
    return { process: card, socketPath, sandbox, connectVmm: () => connect(vhostUserPath) }
  } catch (error) {
    await card[Symbol.asyncDispose]()
    throw error
  }
}

function cardArguments(guestCid: number): readonly string[] {
  return [
    ...['--guest-cid', String(guestCid)],
    ...['--vhost-user', VHOST_USER_SOCKET],
    ...['--uds-path', HOST_SOCKET],
    ...['--control', `fd=${CONTROL_FD}`],
    ...['--parent-ports', 'all'],
    ...['--guest-ports', 'all'],
  ]
}

/** The card's `ready` event; what it says later is read and dropped. */
async function whenReady(card: ManagedProcess): Promise<CardSandbox> {
  const channel = card.channel(CONTROL_FD)
  channel.on('error', () => channel.destroy())
  const timer = setTimeout(() => channel.destroy(), START_TIMEOUT_MS)
  try {
    return parseReady(await readLine(channel, EVENT_MAX_BYTES))
  } catch (cause) {
    const lastWords = card.lastWords()
    throw new CloisterError('ERR_VSOCK_CARD', `the vsock card did not come up: ${lastWords}`, {
      cause,
      details: { stderr: lastWords },
    })
  } finally {
    clearTimeout(timer)
    channel.resume()
  }
}

function parseReady(line: string): CardSandbox {
  const message = JSON.parse(line) as { readonly event?: string; readonly sandbox?: CardSandbox }
  if (message.event === 'ready' && message.sandbox !== undefined) return message.sandbox
  throw new Error('its first event is not `ready`')
}

async function connect(path: string): Promise<Socket> {
  const socket = createConnection({ path, allowHalfOpen: true })
  // Nothing may be read here: the stream is QEMU's.
  socket.once('connect', () => socket.pause())
  await once(socket, 'connect')
  return socket
}
