// The other end of `keeper.sock`.

import { createConnection, type Socket } from 'node:net'
import { once } from 'node:events'
import { fromData } from '../error-data.ts'
import { CloisterError, reasonOf } from '../errors.ts'
import { readLine } from '../subprocess/index.ts'
import type { KeeperReply, KeeperRequest } from './keeper-request.ts'
import { keeperSocketPath } from './enclave-paths.ts'
import type { Inspection } from './inspection.ts'
import type { RequestStatistics } from '../nsm/index.ts'
import type { NetworkReport } from '../network/index.ts'
import type { VsockReport } from '../vsock/index.ts'

/** A report with 2048 connections, the card's limit, has half of it. */
const REPLY_MAX_BYTES = 2 ** 20
const ANSWER_MS = 5000
/** A listing of enclaves waits no longer for one that hangs. */
const REPORT_MS = 2000

/**
 * Sends one request to the keeper of the enclave in `directory`; the returned socket yields what
 * follows the reply.
 *
 * @throws `ERR_KEEPER_CONTROL` when the keeper is gone or does not answer; the keeper's own error when
 * it refuses.
 */
export async function askKeeper(
  directory: string,
  request: Extract<KeeperRequest, { command: 'terminate' | 'console' }>,
  signal: AbortSignal = AbortSignal.timeout(ANSWER_MS),
): Promise<Socket> {
  return (await exchange(directory, request, signal)).socket
}

/** The vsock of an enclave, its network where it has one, and what its NSM was asked. */
export interface EnclaveReport extends VsockReport {
  /** Absent from keepers of older versions. */
  readonly nsm?: readonly RequestStatistics[]
  readonly network?: NetworkReport
}

/**
 * What goes on at an enclave's vsock, and in its network.
 *
 * @throws `ERR_KEEPER_CONTROL` when the keeper is gone or does not answer within two seconds,
 * `ERR_VSOCK_CONTROL` when its card does not answer.
 */
export async function askVsock(directory: string, connections: boolean): Promise<EnclaveReport> {
  const request = { command: 'vsock', connections } as const
  return (await askOnce(directory, request, REPORT_MS)) as EnclaveReport
}

/**
 * What its keeper knows of an enclave beyond its record.
 *
 * @throws `ERR_KEEPER_CONTROL` when the keeper is gone or does not answer in time.
 */
export async function askInspection(directory: string): Promise<Inspection> {
  return (await askOnce(directory, { command: 'inspect' }, ANSWER_MS)) as Inspection
}

/**
 * Opens or closes ports of an enclave; returns the policy that is in force then.
 *
 * @throws `ERR_KEEPER_CONTROL`, `ERR_VSOCK_CONTROL`, `ERR_VSOCK_PORTS`
 */
export async function changePorts(
  directory: string,
  request: Extract<KeeperRequest, { command: 'open-ports' | 'close-ports' }>,
): Promise<VsockReport> {
  return (await askOnce(directory, request, ANSWER_MS)) as VsockReport
}

async function askOnce(
  directory: string,
  request: KeeperRequest,
  timeoutMs: number,
): Promise<unknown> {
  const { socket, result } = await exchange(directory, request, AbortSignal.timeout(timeoutMs))
  socket.destroy()
  return result
}

interface Exchange {
  readonly socket: Socket
  readonly result: unknown
}

async function exchange(
  directory: string,
  request: KeeperRequest,
  signal: AbortSignal,
): Promise<Exchange> {
  const socket = createConnection(keeperSocketPath(directory))
  const giveUp = (): void => void socket.destroy(new Error('it does not answer'))
  socket.on('error', () => undefined)
  signal.addEventListener('abort', giveUp)
  try {
    await once(socket, 'connect')
    socket.write(`${JSON.stringify(request)}\n`)
    const reply = JSON.parse(await readLine(socket, REPLY_MAX_BYTES)) as KeeperReply
    if (!reply.ok) throw fromData(reply.error, 'ERR_KEEPER_CONTROL')
    return { socket, result: reply.result }
  } catch (error) {
    socket.destroy()
    throw error instanceof CloisterError ? error : unreachable(request, error)
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

function unreachable({ command }: KeeperRequest, cause: unknown): CloisterError {
  const message = `the enclave's keeper did not carry out ${command}: ${reasonOf(cause)}`
  return new CloisterError('ERR_KEEPER_CONTROL', message, { cause, details: { command } })
}
