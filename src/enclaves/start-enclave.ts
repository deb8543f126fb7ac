// Asks for a new enclave: starts a keeper, hands it the request, waits until it runs.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { fromData } from '../error-data.ts'
import { CloisterError, reasonOf } from '../errors.ts'
import type { KeeperMessage, Seen } from './keeper-messages.ts'
import { KeeperStderr } from './keeper-stderr.ts'
import type { LaunchRequest } from './launch-request.ts'

/**
 * What a guest sends is garbage soon. With a small young generation (MiB) it is collected soon too,
 * and a guest that sends without end costs the keeper less memory.
 */
const KEEPER_HEAP = '--max-semi-space-size=1'
/** Whoever starts it, a command or a library: as modules it would take twice as long to load. */
const KEEPER = fileURLToPath(new URL('../../bundle/keeper/main.js', import.meta.url))

export type RunningEnclave = Extract<KeeperMessage, { type: 'running' }>

/**
 * Starts an enclave in a keeper of its own, which outlives this process.
 *
 * @param accepted - Called when the request and the image are accepted, before anything is started.
 * @param signal - Gives the start up; its reason is thrown once nothing is left of it.
 * @throws Whatever ended the launch, with its code, details and causes; nothing is left behind then.
 * `ERR_KEEPER_DIED` when the keeper ended without a word, `ERR_PROCESS_SPAWN` when it cannot be
 * started.
 */
export async function startEnclave(
  request: LaunchRequest,
  accepted: () => void = () => undefined,
  signal?: AbortSignal,
): Promise<RunningEnclave> {
  signal?.throwIfAborted()
  using stderr = new KeeperStderr(request.directories.runtime)
  const keeper = await startKeeper(stderr)
  // The keeper ends its enclave, whatever it has of it by now, and then itself.
  const giveUp = (): void => void keeper.kill('SIGTERM')
  signal?.addEventListener('abort', giveUp)
  try {
    if (signal?.aborted === true) giveUp()
    const running = await launched(keeper, request, { stderr, accepted })
    // Too late for the start: the enclave ends as one that runs.
    if (signal?.aborted === true) await gone(keeper)
    signal?.throwIfAborted()
    return running
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', giveUp)
  }
}

interface Launching {
  readonly stderr: KeeperStderr
  readonly accepted: () => void
}

async function launched(
  keeper: ChildProcess,
  request: LaunchRequest,
  launching: Launching,
): Promise<RunningEnclave> {
  const answer = outcome(keeper, launching)
  await send(keeper, request)
  const message = await answer
  if (message.type === 'running') await send(keeper, { type: 'seen' })
  if (keeper.connected) keeper.disconnect()
  keeper.unref()
  if (message.type === 'running') return message
  throw fromData(message.error, 'ERR_INTERNAL')
}

async function gone(keeper: ChildProcess): Promise<void> {
  keeper.ref()
  if (keeper.exitCode === null && keeper.signalCode === null) await once(keeper, 'exit')
}

async function startKeeper(stderr: KeeperStderr): Promise<ChildProcess> {
  try {
    const keeper = fork(KEEPER, [], {
      detached: true,
      cwd: '/',
      // Not what this process was started with: it may be a program of its own, or a debugger's port.
      execArgv: [KEEPER_HEAP],
      stdio: ['ignore', 'ignore', stderr.fd, 'ipc'],
    })
    await once(keeper, 'spawn')
    // A channel that breaks is followed by the keeper's end, which says more.
    keeper.on('error', () => undefined)
    return keeper
  } catch (cause) {
    const message = `cannot start the keeper: ${reasonOf(cause)}`
    throw new CloisterError('ERR_PROCESS_SPAWN', message, { cause })
  }
}

/** A keeper that is gone by now has recorded why. */
function send(keeper: ChildProcess, message: LaunchRequest | Seen): Promise<void> {
  return new Promise((resolve) => {
    keeper.send(message, () => {
      resolve()
    })
  })
}

type Outcome = Exclude<KeeperMessage, { type: 'accepted' }>

async function outcome(keeper: ChildProcess, { stderr, accepted }: Launching): Promise<Outcome> {
  const died = once(keeper, 'exit').then(([code, signal]) => {
    throw new CloisterError('ERR_KEEPER_DIED', 'the keeper died while it started the enclave', {
      details: { exitCode: code as unknown, signal: signal as unknown, stderr: stderr.lastWords() },
    })
  })
  const told = new Promise<Outcome>((resolve) => {
    keeper.on('message', (message: KeeperMessage) => {
      if (message.type === 'accepted') accepted()
      else resolve(message)
    })
  })
  return Promise.race([told, died])
}
