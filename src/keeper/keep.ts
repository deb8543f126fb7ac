// The keeper's life: a place in the registry, the keeper socket, the launch, the end, the record.

import { randomBytes } from 'node:crypto'
import type { Server } from 'node:net'
import { serveKeeperSocket } from './keeper-socket.ts'
import { abandoned, Enclave } from './enclave.ts'
import { causeOnRequest } from './end-cause.ts'
import { instanceIdOf } from './parts/chip.ts'
import {
  type EndCause,
  type KeeperMessage,
  type LaunchRequest,
  type Place,
  Registry,
  type RunningRecord,
  type StartingRecord,
  Timeline,
  writeRecord,
} from '../enclaves/index.ts'
import { Journal } from './journal.ts'
import type { Part } from './end-cause.ts'
import { identifyParts, runningRecord, startingRecord } from './new-record.ts'
import { recordEnd } from './record-end.ts'
import { StopSwitch } from './stop-switch.ts'

/** The process that asked for the enclave. */
export interface Asker {
  readonly tell: (message: KeeperMessage) => void
  /** Settles when the asker has gone without having seen that the enclave runs. */
  readonly abandoned: Promise<void>
}

/** One enclave and what its keeper needs while it keeps it. */
interface Keeping {
  readonly registry: Registry
  readonly place: Place
  readonly stop: StopSwitch
  readonly journal: Journal
}

/**
 * Launches the enclave, keeps it until it ends, and records its end.
 *
 * @throws Whatever ended the launch; then nothing of the enclave is left.
 */
export async function keep(request: LaunchRequest, asker: Asker): Promise<void> {
  const stop = new StopSwitch()
  stop.listenToSignals()
  void asker.abandoned.then(() => {
    stop.ask(0, 'the command that started the enclave went away')
  })
  const registry = new Registry(request.directories.runtime)
  const { place, record } = await claimPlace(registry, request)
  const keeping = { registry, place, stop, journal: new Journal(place.directory) }
  process.on('uncaughtExceptionMonitor', (error) => {
    keeping.journal.write(`the keeper crashed: ${error.stack ?? error.message}`)
  })
  let controlled: Enclave | undefined
  let server: Server | undefined
  let isLaunched = false
  try {
    server = await serveKeeperSocket(place.directory, {
      terminate: stop.ask.bind(stop),
      console: () => controlled?.console,
      vsock: () => controlled?.vsock,
      network: () => controlled?.network,
    })
    const timeline = new Timeline()
    const accepted = (): void => {
      asker.tell({ type: 'accepted' })
    }
    await using enclave = await launch({ request, record, keeping, timeline, accepted })
    controlled = enclave
    const running = runningRecord(record, enclave)
    writeRecord(place.directory, running)
    isLaunched = true
    asker.tell({ type: 'running', record: running, timeline: timeline.steps })
    await keepRunning(enclave, running, keeping)
  } catch (error) {
    if (!isLaunched) registry.remove(record)
    throw error
  } finally {
    server?.close()
  }
}

async function claimPlace(
  registry: Registry,
  request: LaunchRequest,
): Promise<{ place: Place; record: StartingRecord }> {
  const instance = await instanceIdOf(request.directories.state)
  const id = `${instance}-enc${randomBytes(8).toString('hex')}`
  const record = registry.claim(startingRecord(request, id))
  const { name, cid } = record.description
  return { place: { directory: registry.directory(id), id, name, cid }, record }
}

interface Launching {
  readonly request: LaunchRequest
  readonly record: StartingRecord
  readonly keeping: Keeping
  readonly timeline: Timeline
  /** Called when the image is accepted. */
  readonly accepted: () => void
}

async function launch({ record, keeping, ...launching }: Launching): Promise<Enclave> {
  const { place, stop, journal } = keeping
  const signal = stop.launchSignal
  const noteParts = (parts: readonly Part[]): void => {
    writeRecord(place.directory, { ...record, processes: identifyParts(parts) })
  }
  const enclave = await Enclave.launch({ ...launching, place, signal, journal, noteParts })
  if (!signal.aborted) return enclave
  await enclave[Symbol.asyncDispose]()
  throw abandoned()
}

/** Waits for whatever ends the enclave, and records that. */
async function keepRunning(
  enclave: Enclave,
  running: RunningRecord,
  { registry, place, stop, journal }: Keeping,
): Promise<void> {
  stop.arm(async (graceMs) => {
    noteTerminating(place.directory, running, journal)
    await enclave.stopApp(graceMs)
  })
  const cause = await Promise.race([endOf(enclave, stop), stop.stopped])
  await recordEnd({ registry, journal, running, cause, enclave })
}

/** An app that ends after SIGTERM ends because of the request. */
async function endOf(enclave: Enclave, stop: StopSwitch): Promise<EndCause> {
  const cause = await enclave.ended
  return stop.request === undefined ? cause : causeOnRequest(cause, stop.request)
}

/** An enclave can be ended although the disk is full. */
function noteTerminating(directory: string, running: RunningRecord, journal: Journal): void {
  try {
    writeRecord(directory, { ...running, state: 'TERMINATING' })
  } catch (error) {
    journal.write(`the record cannot be written: ${String(error)}`)
  }
}
