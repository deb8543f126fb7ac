// Asks for a new enclave: starts a keeper, hands it the request, waits until it runs.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { CloisterError } from '../errors.ts'
import type { KeeperMessage, LaunchRequest, Seen } from './launch-request.ts'

export type RunningEnclave = Extract<KeeperMessage, { type: 'running' }>

/**
 * Starts an enclave in a keeper of its own, which outlives this process.
 *
 * @throws Whatever ended the launch, with its code; nothing is left behind then.
 */
export async function startEnclave(request: LaunchRequest): Promise<RunningEnclave> {
  const keeper = fork(fileURLToPath(new URL('../keeper/main.js', import.meta.url)), [], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  keeper.send(request)
  const message = await firstMessage(keeper)
  if (message.type === 'running') await send(keeper, { type: 'seen' })
  if (keeper.connected) keeper.disconnect()
  keeper.unref()
  if (message.type === 'running') return message
  const { code, message: text, hint, details } = message.error
  throw new CloisterError(code, text, { hint, details })
}

/** A keeper that is gone by now has recorded why. */
function send(keeper: ChildProcess, message: Seen): Promise<void> {
  return new Promise((resolve) => {
    keeper.send(message, () => {
      resolve()
    })
  })
}

async function firstMessage(keeper: ChildProcess): Promise<KeeperMessage> {
  const died = once(keeper, 'exit').then(([code, signal]) => {
    throw new CloisterError('ERR_KEEPER_DIED', 'the keeper died while it started the enclave', {
      details: { code: code as unknown, signal: signal as unknown },
    })
  })
  const [message] = (await Promise.race([once(keeper, 'message'), died])) as [KeeperMessage]
  return message
}
