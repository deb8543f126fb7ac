// One enclave from its record in the registry to its end: the keeper socket, the launch, the end, the
// record, and who comes after it.

import type { Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  endNow,
  type EndCause,
  type KeeperMessage,
  type LaunchRequest,
  type LimitFacts,
  type Place,
  type Registry,
  type RunningRecord,
  type StartingRecord,
  Timeline,
  writeRecord,
} from '../enclaves/index.ts'
import { CloisterError, messageOf, reasonOf } from '../errors.ts'
import { abandoned, Enclave } from './enclave.ts'
import { causeOnRequest, type Part } from './end-cause.ts'
import { Journal } from './journal.ts'
import { serveKeeperSocket } from './keeper-socket.ts'
import { identifyAll, runningRecord } from './new-record.ts'
import { recordEnd } from './record-end.ts'
import type { StopSwitch } from './stop-switch.ts'
import type { Succession } from './succession.ts'

/** The process that asked for the enclave. */
export interface Asker {
  readonly tell: (message: KeeperMessage) => void
}

export interface Start {
  readonly request: LaunchRequest
  readonly registry: Registry
  readonly succession: Succession
  readonly stop: StopSwitch
  readonly record: StartingRecord
  /** Waits for the first start, and for no other. */
  readonly asker?: Asker
}

/** One enclave and what its keeper needs while it keeps it. */
interface Keeping extends Start {
  readonly place: Place
  readonly journal: Journal
}

/**
 * Launches the enclave, when the time for that has come, and keeps it until it has ended and its record
 * says so.
 *
 * @returns The record of the enclave that is to be started next; undefined when that is it.
 * @throws Whatever ended the launch that somebody waits for; then nothing of the enclave is left.
 */
export async function keepOne(start: Start): Promise<StartingRecord | undefined> {
  const { registry, record } = start
  const { name, cid } = record.description
  const place = { directory: registry.directory(record.id), id: record.id, name, cid }
  const keeping = { ...start, place, journal: new Journal(place.directory) }
  const noteCrash = (error: Error): void => {
    keeping.journal.write(`the keeper crashed: ${error.stack ?? error.message}`)
  }
  process.on('uncaughtExceptionMonitor', noteCrash)
  try {
    return await serveAndKeep(keeping)
  } finally {
    process.off('uncaughtExceptionMonitor', noteCrash)
  }
}

async function serveAndKeep(keeping: Keeping): Promise<StartingRecord | undefined> {
  const { place, record, stop, succession } = keeping
  let controlled: Enclave | undefined
  let server: Server | undefined
  let running: RunningRecord | undefined
  try {
    server = await serveKeeperSocket(place.directory, {
      terminate: stop.ask.bind(stop),
      console: () => controlled?.console,
      vsock: () => controlled?.vsock,
      network: () => controlled?.network,
      nsm: () => controlled?.nsmRequests,
      inspect: () => controlled?.inspect(),
    })
    await untilDue(keeping)
    const timeline = new Timeline()
    await using enclave = await launch(keeping, timeline)
    controlled = enclave
    running = runningRecord(record, enclave)
    writeRecord(place.directory, running)
    succession.measurements ??= running.image.measurements
    keeping.asker?.tell({ type: 'running', record: running, timeline: timeline.steps })
    return await keepRunning(enclave, running, keeping)
  } catch (error) {
    if (running !== undefined) throw error
    return await giveUp(keeping, error)
  } finally {
    server?.close()
  }
}

/** A start that follows another waits, and ends when the enclave is to end. */
async function untilDue({ record, stop, journal }: Keeping): Promise<void> {
  const { restart } = record
  if (restart === undefined) return
  journal.write(`restart ${String(restart.count)}, after ${restart.previous}`)
  const waitMs = Date.parse(restart.notBefore) - Date.now()
  await sleep(Math.max(0, waitMs), undefined, { signal: stop.launchSignal })
}

async function launch(keeping: Keeping, timeline: Timeline): Promise<Enclave> {
  const { request, record, place, stop, journal, succession, asker } = keeping
  const signal = stop.launchSignal
  let known = record
  const note = (facts: Partial<StartingRecord>): void => {
    known = { ...known, ...facts }
    writeRecord(place.directory, known)
  }
  const noteParts = (parts: readonly Part[]): void => {
    note({ processes: identifyAll(parts) })
  }
  const noteLimits = (limits: LimitFacts): void => {
    note({ limits })
  }
  const expected = succession.measurements
  const accepted = (): void => {
    asker?.tell({ type: 'accepted' })
  }
  const options = { request, place, timeline, signal, journal, expected, accepted }
  const enclave = await Enclave.launch({ ...options, noteLimits, noteParts })
  if (!signal.aborted) return enclave
  await enclave[Symbol.asyncDispose]()
  throw abandoned()
}

/** Waits for whatever ends the enclave, records that, and says who comes next. */
async function keepRunning(
  enclave: Enclave,
  started: RunningRecord,
  { registry, place, stop, journal, succession }: Keeping,
): Promise<StartingRecord | undefined> {
  let running = started
  const note = (facts: Partial<RunningRecord>): void => {
    running = { ...running, ...facts }
    noteRunning(place.directory, running, journal)
  }
  enclave.network?.whenRestarted(() => {
    note({ processes: identifyAll(enclave.processes) })
  })
  stop.arm(async (graceMs) => {
    note({ state: 'TERMINATING' })
    await enclave.stopApp(graceMs)
  })
  const cause = await Promise.race([endOf(enclave, stop), stop.stopped])
  stop.disarm()
  const ranMs = endNow(running, cause).ranMs ?? 0
  let next: StartingRecord | undefined
  const succeed = async (): Promise<void> => {
    if (stop.request === undefined) next = await succession.next(running, { cause, ranMs, journal })
  }
  await recordEnd({ registry, journal, running, cause, enclave, succeed })
  return next
}

/**
 * A first start that fails is its asker's to hear of, and leaves nothing. A later one is an end like
 * others, unless it was asked for.
 */
async function giveUp(
  { registry, record, asker, stop, succession, journal }: Keeping,
  error: unknown,
): Promise<StartingRecord | undefined> {
  if (asker !== undefined || stop.request !== undefined) {
    registry.remove(record)
    if (asker !== undefined) throw error
    return undefined
  }
  const code = error instanceof CloisterError ? `${error.code}: ` : ''
  const reason = `it could not be started again: ${code}${messageOf(error)}`
  const cause: EndCause = { first: 'start', reason }
  const isFinal = error instanceof CloisterError && error.code === 'ERR_KEEPER_IMAGE_CHANGED'
  const next = isFinal ? undefined : await succession.next(record, { cause, ranMs: 0, journal })
  registry.finish(record, endNow(record, cause))
  return next
}

/** An app that ends after SIGTERM ends because of the request. */
async function endOf(enclave: Enclave, stop: StopSwitch): Promise<EndCause> {
  const cause = await enclave.ended
  return stop.request === undefined ? cause : causeOnRequest(cause, stop.request)
}

/** An enclave goes on, and can be ended, although the disk is full. */
function noteRunning(directory: string, running: RunningRecord, journal: Journal): void {
  try {
    writeRecord(directory, running)
  } catch (error) {
    journal.write(`the record cannot be written: ${reasonOf(error)}`)
  }
}
