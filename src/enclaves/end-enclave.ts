// Ends an enclave in whatever state it is, or forgets one that has ended.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRunning, killProcess } from '../subprocess/index.ts'
import { askKeeper } from './keeper-client.ts'
import { isAlive, processesOf, type EnclaveRecord } from './record.ts'
import type { Registry } from './registry.ts'

/** How long a keeper may take to clear up, once the app had its grace. */
const CLEAR_UP_MS = 10_000

/**
 * Ends the enclave and returns when nothing of it runs any more. An enclave that had ended already
 * is removed from the registry. A keeper that does not answer is killed, and everything with it.
 *
 * @param graceMs - How long its app may take after SIGTERM.
 */
export async function endEnclave(
  registry: Registry,
  record: EnclaveRecord,
  graceMs: number,
): Promise<void> {
  if (!isAlive(record)) {
    registry.remove(record)
    return
  }
  const deadline = AbortSignal.timeout(graceMs + CLEAR_UP_MS)
  await askToTerminate(registry, record, graceMs, deadline)
  while (isRunning(record.keeper) && !deadline.aborted) await sleep(5)
  killProcess(record.keeper)
  for (const child of processesOf(record)) killProcess(child)
  registry.settle()
}

/** Returns when the keeper has gone, or cannot be asked because it is going or has just begun. */
async function askToTerminate(
  registry: Registry,
  record: EnclaveRecord,
  graceMs: number,
  deadline: AbortSignal,
): Promise<void> {
  const directory = registry.directory(record.id)
  while (isRunning(record.keeper) && !deadline.aborted) {
    try {
      const request = { command: 'terminate', graceMs } as const
      const socket = await askKeeper(directory, request, deadline)
      socket.resume()
      if (!socket.closed) await once(socket, 'close', { signal: deadline })
      return
    } catch {
      // Either the keeper goes, or its socket comes.
      await sleep(20)
    }
  }
}
