// The NSM card of one enclave (cards/nsm): a vhost-user back end in a process of its own, which
// carries the guest's requests to us over the channel that it was started with. It runs in a
// directory that belongs to its user, so it needs no right to any directory above.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CloisterError } from '../errors.ts'
import {
  cardFds,
  readLine,
  startCardProcess,
  type Confinement,
  type ManagedProcess,
} from '../subprocess/index.ts'

const START_TIMEOUT_MS = 5000
const READY_MAX_BYTES = 4096

export interface NsmCardOptions {
  /** The cloister-nsm program. */
  readonly program: string
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly confinement: Confinement
}

export interface NsmCard extends AsyncDisposable {
  readonly process: ManagedProcess
  /** What the card gave up before it took the VMM's connection. */
  readonly sandbox: {
    readonly landlock: string
    readonly seccomp: boolean
    readonly privateRoot: boolean
  }
  /** Requests and responses in turn, each behind its 4-byte big-endian length. */
  readonly channel: Duplex
  /** Connected to the card, for the VMM to inherit; there is no other way to the card. */
  readonly vmm: Socket
}

/**
 * Starts the card and waits until its sandbox is closed. It ends with us, and with the VMM.
 *
 * @throws `ERR_PROCESS_SPAWN`, `ERR_NSM_CARD` when it does not come up.
 */
export async function startNsmCard(options: NsmCardOptions): Promise<NsmCard> {
  const { process: card, vmm } = await startCardProcess({
    name: 'NSM card',
    command: [
      ...[options.program, '--vhost-user', `fd=${cardFds.vhostUser}`],
      ...['--keeper', `fd=${cardFds.keeper}`],
    ],
    cwd: options.directory,
    confinement: options.confinement,
  })
  const channel = card.channel(cardFds.keeper)
  const end = async (): Promise<void> => {
    vmm.destroy()
    await card[Symbol.asyncDispose]()
  }
  try {
    const sandbox = await whenReady(card, channel)
    if (vmm.connecting) await once(vmm, 'connect')
    return { process: card, sandbox, channel, vmm, [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}

/** The card's first line, `{"event":"ready",…}`. */
async function whenReady(card: ManagedProcess, channel: Duplex): Promise<NsmCard['sandbox']> {
  channel.on('error', () => channel.destroy())
  const timer = setTimeout(() => channel.destroy(), START_TIMEOUT_MS)
  try {
    return parseReady(await readLine(channel, READY_MAX_BYTES))
  } catch (cause) {
    const lastWords = await card.finalWords()
    throw new CloisterError('ERR_NSM_CARD', `the NSM card did not come up: ${lastWords}`, {
      cause,
      details: { stderr: lastWords },
    })
  } finally {
    clearTimeout(timer)
  }
}

function parseReady(line: string): NsmCard['sandbox'] {
  const { event, sandbox } = JSON.parse(line) as {
    readonly event?: string
    readonly sandbox?: NsmCard['sandbox']
  }
  if (event === 'ready' && sandbox !== undefined) return sandbox
  throw new Error('its first event is not `ready`')
}
