// The keeper's life: a place in the registry, the launch, the control socket, the end, the record.

import { randomBytes } from 'node:crypto'
import { CloisterError } from '../errors.ts'
import { deferred } from '../process/index.ts'
import { serveControl } from './control-server.ts'
import { Enclave, type LaunchOptions, type Place } from './enclave.ts'
import { instanceIdOf } from './enclave-chip.ts'
import type { EndCause } from './end-cause.ts'
import type { KeeperMessage, LaunchRequest } from './launch-request.ts'
import { runningRecord, startingRecord } from './new-record.ts'
import { writeRecord, type EnclaveRecord } from './record.ts'
import { Registry } from './registry.ts'
import { Timeline } from './timeline.ts'

/** nitro-cli refuses 0 to 3; below this range users choose CIDs of their own. */
const FIRST_AUTOMATIC_CID = 65536

export interface Asker {
  readonly tell: (message: KeeperMessage) => void
  /** Settles when whoever asked has gone. */
  readonly abandoned: Promise<void>
}

/**
 * Launches the enclave, keeps it until it ends, and records its end.
 *
 * @throws Whatever ended the launch; then nothing of the enclave is left.
 */
export async function keep(request: LaunchRequest, asker: Asker): Promise<void> {
  const registry = new Registry(request.directories.runtime)
  const timeline = new Timeline()
  const { place, record } = await claimPlace(registry, request)
  let enclave: Enclave
  try {
    enclave = await launchUnlessAbandoned({ request, place, timeline }, asker)
  } catch (error) {
    registry.remove(record)
    throw error
  }
  const running = runningRecord(record, enclave)
  writeRecord(place.directory, running)
  const cause = await untilEnd({ enclave, place, record: running }, () => {
    asker.tell({ type: 'running', record: running, timeline: timeline.steps })
  })
  await enclave[Symbol.asyncDispose]()
  enclave.console?.save(place.directory)
  registry.finish(running, {
    ...cause,
    at: new Date().toISOString(),
    livedMs: Date.now() - Date.parse(running.createdAt),
  })
}

async function claimPlace(
  registry: Registry,
  request: LaunchRequest,
): Promise<{ place: Place; record: EnclaveRecord }> {
  const instance = await instanceIdOf(request.directories.state)
  const id = `${instance}-enc${randomBytes(8).toString('hex')}`
  const directory = registry.create(id)
  const cid = request.cid === 0 ? FIRST_AUTOMATIC_CID + process.pid : request.cid
  const record = startingRecord(request, { id, cid, name: registry.reserveName(request.name, id) })
  writeRecord(directory, record)
  return { place: { directory, id, cid }, record }
}

/** A launch whose asker goes away (Ctrl-C) is undone: nobody would know of the enclave. */
async function launchUnlessAbandoned(
  launch: Omit<LaunchOptions, 'signal'>,
  asker: Asker,
): Promise<Enclave> {
  const abort = new AbortController()
  void asker.abandoned.then(() => {
    abort.abort()
  })
  const enclave = await Enclave.launch({ ...launch, signal: abort.signal })
  if (!abort.signal.aborted) return enclave
  await enclave[Symbol.asyncDispose]()
  throw new CloisterError('ERR_PROCESS_ABANDONED', 'whoever asked for the enclave has gone')
}

interface Kept {
  readonly enclave: Enclave
  readonly place: Place
  readonly record: EnclaveRecord
}

/** Serves the control socket, says that it runs, and waits for whatever ends the enclave. */
async function untilEnd({ enclave, place, record }: Kept, ready: () => void): Promise<EndCause> {
  const requested = deferred<EndCause>()
  const terminate = async (graceMs: number): Promise<void> => {
    writeRecord(place.directory, { ...record, state: 'TERMINATING' })
    await enclave.stopApp(graceMs)
    requested.resolve({ first: 'request', reason: 'terminated on request' })
  }
  const server = await serveControl(place.directory, {
    terminate,
    followConsole: enclave.console?.follow.bind(enclave.console),
  })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.once(signal, () => void terminate(0))
  ready()
  try {
    return await Promise.race([enclave.ended, requested.promise])
  } finally {
    server.close()
  }
}
