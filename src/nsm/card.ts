// The NSM card of one enclave (cards/nsm): a vhost-user back end in a process of its own, which
// carries the guest's requests to us over the channel that it was started with. It runs in a
// directory that belongs to its user, so it needs no right to any directory above.

import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { CloisterError } from '../errors.ts'
import { readLine, startProcess, type Confinement, type ManagedProcess } from '../process/index.ts'

const VHOST_USER_SOCKET = 'vhost-user.sock'
/** The card's descriptor of the channel to us; the card ends when that closes. */
const KEEPER_FD = 3
const START_TIMEOUT_MS = 5000
const READY_MAX_BYTES = 4096

export interface NsmCardOptions {
  /** The cloister-nsm program. */
  readonly program: string
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly confinement: Confinement
}

export interface NsmCard {
  readonly process: ManagedProcess
  /** What the card gave up before it listened, in words. */
  readonly confined: string
  /** Requests and responses in turn, each behind its 4-byte big-endian length. */
  readonly channel: Duplex
  /** Connects to the card's vhost-user socket, for the VMM to inherit. */
  readonly connectVmm: () => Promise<Socket>
}

/**
 * Starts the card and waits until it listens and its sandbox is closed.
 *
 * @throws `ERR_PROCESS_SPAWN`, `ERR_NSM_CARD` when it does not come up.
 */
export async function startNsmCard(options: NsmCardOptions): Promise<NsmCard> {
  const card = await startProcess({
    name: 'NSM card',
    command: [
      ...[options.program, '--vhost-user', VHOST_USER_SOCKET],
      ...['--keeper', `fd=${String(KEEPER_FD)}`],
    ],
    cwd: options.directory,
    confinement: options.confinement,
    extraStdio: ['pipe'],
  })
  try {
    const confined = await whenReady(card)
    return {
      process: card,
      confined,
      channel: card.channel(KEEPER_FD),
      connectVmm: () => connect(join(options.directory, VHOST_USER_SOCKET)),
    }
  } catch (error) {
    await card[Symbol.asyncDispose]()
    throw error
  }
}

/** The card's first line, `{"event":"ready",…}`. */
async function whenReady(card: ManagedProcess): Promise<string> {
  const channel = card.channel(KEEPER_FD)
  channel.on('error', () => channel.destroy())
  const timer = setTimeout(() => channel.destroy(), START_TIMEOUT_MS)
  try {
    return parseReady(await readLine(channel, READY_MAX_BYTES))
  } catch (cause) {
    const lastWords = card.lastWords()
    throw new CloisterError('ERR_NSM_CARD', `the NSM card did not come up: ${lastWords}`, {
      cause,
      details: { stderr: lastWords },
    })
  } finally {
    clearTimeout(timer)
  }
}

function parseReady(line: string): string {
  const { event, sandbox } = JSON.parse(line) as {
    readonly event?: string
    readonly sandbox?: { readonly landlock: string; readonly seccomp: boolean }
  }
  if (event !== 'ready' || sandbox === undefined) throw new Error('its first event is not `ready`')
  return `Landlock ${sandbox.landlock}, seccomp ${sandbox.seccomp ? 'on' : 'off'}`
}

async function connect(path: string): Promise<Socket> {
  const socket = createConnection({ path, allowHalfOpen: true })
  // Nothing may be read here: the stream is QEMU's.
  socket.once('connect', () => socket.pause())
  await once(socket, 'connect')
  return socket
}
