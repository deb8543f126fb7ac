// Until a port of a guest accepts a connection: an enclave runs as soon as its app does, and the app may
// need a moment before it listens.

import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { CloisterError } from '../errors.ts'
import { connectGuest, listsPort } from '../vsock/index.ts'
import { vsockSocketPath } from './enclave-paths.ts'
import { explainRefusal } from './explain-refusal.ts'
import { askVsock } from './keeper-client.ts'
import { isAlive, type EnclaveRecord } from './record.ts'
import type { Registry } from './registry.ts'

const RETRY_MS = 20
const ATTEMPT_MS = 1000

export interface AwaitedPort {
  readonly port: number
  /** How long to try; once at least. */
  readonly timeoutMs: number
}

/**
 * Dials the port, and hangs up, until that succeeds.
 *
 * @throws As `connectToPort`.
 */
export async function waitForPort(
  registry: Registry,
  record: EnclaveRecord,
  awaited: AwaitedPort,
): Promise<void> {
  const socket = await connectToPort(registry, record, awaited)
  socket.destroy()
}

/**
 * Dials the port until something listens there.
 *
 * @throws `ERR_VSOCK_CONNECT` when the time is over, and at once when the port is closed or the enclave
 * has ended
 */
export async function connectToPort(
  registry: Registry,
  { id, description }: EnclaveRecord,
  { port, timeoutMs }: AwaitedPort,
): Promise<Socket> {
  const directory = registry.directory(id)
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      const options = { timeoutMs: ATTEMPT_MS }
      return await connectGuest(vsockSocketPath(directory), port, options)
    } catch (cause) {
      const latest = registry.find(id)
      if (!isAlive(latest)) throw endedFirst(description.name, port, latest.end.reason)
      if (performance.now() > deadline || (await isClosed(directory, port)))
        throw await explainRefusal(cause, { directory, name: description.name, port })
      await sleep(RETRY_MS)
    }
  }
}

/** Not while the enclave starts: its ports are not known yet. */
async function isClosed(directory: string, port: number): Promise<boolean> {
  const report = await askVsock(directory, false).catch(() => undefined)
  return report !== undefined && !listsPort(report.guestPorts, port)
}

function endedFirst(name: string, port: number, reason: string): CloisterError {
  const message = `${name} ended before anything listened on port ${String(port)}: ${reason}`
  return new CloisterError('ERR_VSOCK_CONNECT', message, {
    details: { port },
    hint: '`cloister describe-enclaves --all` names the journal of the enclave.',
  })
}
