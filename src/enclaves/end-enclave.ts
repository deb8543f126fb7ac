// Ends an enclave in whatever state it is, or forgets one that has ended.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { removeGroups } from '../cgroup/index.ts'
import { CloisterError } from '../errors.ts'
import { isRunning, killProcess, type ProcessIdentity } from '../subprocess/index.ts'
import { askKeeper } from './keeper-client.ts'
import {
  controlGroupsOf,
  isAlive,
  processesOf,
  type AliveRecord,
  type EndCause,
  type EnclaveRecord,
} from './record.ts'
import type { Registry } from './registry.ts'

/** How long a keeper may take to clear up, once the app had its grace: it kills all parts at once. */
export const CLEAR_UP_MS = 5000
/** How long a killed process may take to go: it needs a processor for that, on a busy host too. */
const KILLED_MS = 10_000
const KILLED: EndCause = {
  first: 'request',
  reason: 'terminated on request; the keeper did not end in time and was killed',
}

/**
 * Ends the enclave and returns when nothing of it runs any more. An enclave that had ended already
 * is removed from the registry. A keeper that has not ended five seconds after the grace is killed, and
 * everything with it; the record says so.
 *
 * @param graceMs - How long its app may take after SIGTERM.
 * @throws `ERR_KEEPER_STOP` when a process of the enclave cannot be killed; its record then stays.
 */
export async function endEnclave(
  registry: Registry,
  record: EnclaveRecord,
  graceMs: number,
): Promise<void> {
  if (!isAlive(record)) {
    await forget(registry, record)
    return
  }
  const deadline = AbortSignal.timeout(graceMs + CLEAR_UP_MS)
  await askToTerminate(registry, record, graceMs, deadline)
  while (isRunning(record.keeper) && !deadline.aborted) await sleep(5)
  const isLate = isRunning(record.keeper)
  const latest = latestOf(registry, record)
  await killAll([{ ...record.keeper, name: 'keeper' }, ...processesOf(latest)])
  // Its keeper would have removed them. Those that stay are left to `settle`, with the record that names them.
  const isEmpty = await removeWhenEmpty(controlGroupsOf(latest))
  if (isLate && isEmpty) registry.finishKilled(latest, KILLED)
  registry.settle()
}

/**
 * Removes an enclave that has ended from the registry. If its keeper was killed, its parts need a moment to go, and only
 * its record names their control groups.
 */
async function forget(registry: Registry, record: EnclaveRecord): Promise<void> {
  const groups = registry.groupsLeftBy(record.id)
  registry.settle()
  if (!(await removeWhenEmpty(groups))) {
    const message = `a process is still in a control group of the enclave: ${groups.join(', ')}`
    throw new CloisterError('ERR_KEEPER_STOP', message, { details: { groups } })
  }
  registry.remove(record)
}

/** What its keeper keeps by now: a restart rule may have put another enclave in its place. */
function latestOf(registry: Registry, record: AliveRecord): AliveRecord {
  const { pid, startTime } = record.keeper
  const isOurs = ({ keeper }: EnclaveRecord): boolean =>
    keeper.pid === pid && keeper.startTime === startTime
  return registry.list().filter(isAlive).find(isOurs) ?? record
}

type NamedProcess = ProcessIdentity & { readonly name: string }

/** Kills what still runs, and returns when it has gone. */
async function killAll(processes: readonly NamedProcess[]): Promise<void> {
  const failures = processes.map(tryKill)
  const deadline = Date.now() + KILLED_MS
  while (processes.some(isRunning) && Date.now() < deadline) await sleep(5)
  const left = processes.filter(isRunning)
  if (left.length === 0) return
  const names = left.map(({ name, pid }) => `${name} (process ${String(pid)})`).join(', ')
  throw new CloisterError('ERR_KEEPER_STOP', `the enclave still runs: ${names} cannot be killed`, {
    cause: failures.find((failure) => failure !== undefined),
    details: { left: left.map(({ name, pid }) => ({ name, pid })) },
  })
}

/** A process that was killed is in its group until it has gone. False when somebody stays in one of them. */
async function removeWhenEmpty(groups: readonly string[]): Promise<boolean> {
  const deadline = Date.now() + KILLED_MS
  while (!removeGroups(groups)) {
    if (Date.now() >= deadline) return false
    await sleep(5)
  }
  return true
}

function tryKill(process: NamedProcess): unknown {
  try {
    killProcess(process)
    return undefined
  } catch (error) {
    return error
  }
}

/** Returns when the keeper has gone, or cannot be asked because it is going or has just begun. */
async function askToTerminate(
  registry: Registry,
  record: AliveRecord,
  graceMs: number,
  deadline: AbortSignal,
): Promise<void> {
  while (isRunning(record.keeper) && !deadline.aborted) {
    try {
      const directory = registry.directory(latestOf(registry, record).id)
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
