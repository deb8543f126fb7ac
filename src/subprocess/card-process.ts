// A card: a helper process that is a vhost-user back end. It inherits its channel to us, at whose end
// it ends, and a socket without a name where the VMM's connection waits: there is no other way to it.
// It runs in a directory that belongs to its user and names what it needs relative to it, so it needs
// no right to any directory above.

import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { CloisterError } from '../errors.ts'
import type { Confinement } from './confinement.ts'
import { listenForChild } from './inherited-listener.ts'
import { startProcess, type ManagedProcess } from './managed-process.ts'
import { readLine } from './read-line.ts'

/** A card's descriptors: the channel to us, and the VMM's way in. */
const cardFds = { channel: 3, vhostUser: 4 } as const
/** Where its further descriptors begin. */
export const FIRST_INHERITED_FD = 5
/** There for a moment: it loses its name before the card runs. */
const VHOST_USER_SOCKET = 'vmm.sock'
const START_TIMEOUT_MS = 15_000
const READY_MAX_BYTES = 4096

const startErrors = {
  'vsock card': 'ERR_VSOCK_CARD',
  'NSM card': 'ERR_NSM_CARD',
  'network card': 'ERR_NETWORK_CARD',
} as const

export type CardName = keyof typeof startErrors

export interface CardOptions {
  readonly name: CardName
  /** The card's program, and what it gets beside its two descriptors. */
  readonly command: readonly [program: string, ...args: readonly string[]]
  /** Descriptors for it to inherit, from {@link FIRST_INHERITED_FD}; they stay the caller's. */
  readonly inherited?: readonly number[]
  /** A directory of its own, owned by the user it runs as. */
  readonly directory: string
  readonly confinement: Confinement
}

/** What a card gave up before it took the VMM's connection. */
export interface CardSandbox {
  readonly landlock: 'full' | 'partial' | 'none'
  readonly seccomp: boolean
  /** Whether it reaches nothing but its own directory. */
  readonly privateRoot: boolean
}

/** A card's first line. */
export interface CardReady {
  readonly sandbox: CardSandbox
  /** The process that the network card has started to dial the guest, if it has. */
  readonly diallerPid: number | undefined
}

/** A card that has started; disposing of it ends its process. */
export interface Card extends AsyncDisposable {
  readonly process: ManagedProcess
  readonly sandbox: CardSandbox
  /** What follows the card's first line. */
  readonly channel: Duplex
  /** Connected to the card, for the VMM to inherit; there is no other way to the card. */
  readonly vmm: Socket
}

/**
 * Starts a card and waits until it is ready and its sandbox is closed. It ends with us, and with the
 * VMM.
 *
 * @throws `ERR_PROCESS_SPAWN`; `ERR_VSOCK_CARD` or `ERR_NSM_CARD` when it does not come up;
 * `ERR_VSOCK_CID` when it was to take a CID of this host that is in use.
 */
export async function startCard(options: CardOptions): Promise<Card> {
  const { process: card, vmm } = await spawnCard(options)
  const channel = card.channel(cardFds.channel)
  const end = async (): Promise<void> => {
    vmm.destroy()
    await card[Symbol.asyncDispose]()
  }
  try {
    const { sandbox } = await whenReady(card, channel, options.name)
    if (vmm.connecting) await once(vmm, 'connect')
    return { process: card, sandbox, channel, vmm, [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}

async function spawnCard({
  name,
  command: [program, ...args],
  inherited = [],
  directory,
  confinement,
}: CardOptions): Promise<{ readonly process: ManagedProcess; readonly vmm: Socket }> {
  const path = join(directory, VHOST_USER_SOCKET)
  const listener = await listenForChild(path)
  // All before the event loop turns: the card has the listener, and waiting there is the only
  // connection it will ever get.
  const starting = startProcess({
    name,
    command: [
      ...[program, '--vhost-user', `fd=${cardFds.vhostUser}`],
      ...['--channel', `fd=${cardFds.channel}`],
      ...args,
    ],
    cwd: directory,
    confinement,
    extraStdio: ['pipe', listener.fd, ...inherited],
  })
  const vmm = connect(path)
  listener.release()
  try {
    return { process: await starting, vmm }
  } catch (error) {
    vmm.destroy()
    throw error
  }
}

function connect(path: string): Socket {
  const socket = createConnection({ path, allowHalfOpen: true })
  // Nothing may be read here: the stream is the VMM's.
  socket.once('connect', () => socket.pause())
  socket.on('error', () => socket.destroy())
  return socket
}

/**
 * Waits for a card's first line, `{"event":"ready","sandbox":…}`.
 *
 * @throws The error of `name` when it does not come up; `ERR_VSOCK_CID`.
 */
export async function whenReady(
  card: ManagedProcess,
  channel: Duplex,
  name: CardName,
): Promise<CardReady> {
  channel.on('error', () => channel.destroy())
  const timer = setTimeout(() => channel.destroy(), START_TIMEOUT_MS)
  try {
    return parseReady(await readLine(channel, READY_MAX_BYTES))
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    const lastWords = await card.finalWords()
    throw new CloisterError(startErrors[name], `the ${name} did not start: ${lastWords}`, {
      cause,
      details: { stderr: lastWords },
    })
  } finally {
    clearTimeout(timer)
  }
}

function parseReady(line: string): CardReady {
  const { event, sandbox, cid, dialler } = JSON.parse(line) as {
    readonly event?: unknown
    readonly cid?: unknown
    readonly dialler?: unknown
    readonly sandbox?: Partial<Record<keyof CardSandbox, unknown>>
  }
  const { landlock, seccomp, privateRoot } = sandbox ?? {}
  if (event === 'cidInUse') throw cidInUse(Number(cid))
  const level = (['full', 'partial', 'none'] as const).find((known) => known === landlock)
  if (event !== 'ready' || level === undefined) throw new Error('its first line is not `ready`')
  return {
    sandbox: { landlock: level, seccomp: seccomp === true, privateRoot: privateRoot === true },
    diallerPid: Number.isSafeInteger(dialler) ? Number(dialler) : undefined,
  }
}

function cidInUse(cid: number): CloisterError {
  return new CloisterError(
    'ERR_VSOCK_CID',
    `another virtual machine of this host has the CID ${String(cid)}`,
    { details: { cid } },
  )
}
