// The keeper's own socket, `keeper.sock`: one JSON line in, one JSON line out. After the reply to
// `console` the console's bytes follow; after the reply to `terminate`, which comes at once, the
// connection stays open until the keeper is done and gone. Only the enclave's owner can reach it.

import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import {
  keeperSocketPath,
  parseKeeperRequest,
  type EnclaveReport,
  type Inspection,
  type KeeperReply,
  type KeeperRequest,
} from '../enclaves/index.ts'
import { toData } from '../error-data.ts'
import { CloisterError } from '../errors.ts'
import { hostFault } from '../host-fault.ts'
import type { RequestStatistics } from '../nsm/index.ts'
import { readLine } from '../subprocess/index.ts'
import type { ConsoleLog } from './guest/console-log.ts'
import type { EnclaveNetwork } from './parts/network-card.ts'
import type { EnclaveVsock } from './parts/vsock-ports.ts'

/** Two lists of 256 port ranges and some room. */
const REQUEST_MAX_BYTES = 16 * 1024

/** What carries the requests out; src/enclaves/keeper-request.ts has their form. */
export interface KeeperSocketHandler {
  /** @param graceMs - How long the app may take after SIGTERM, in ms. */
  readonly terminate: (graceMs: number) => void
  /** Undefined while the enclave has no console. */
  readonly console: () => ConsoleLog | undefined
  /** Undefined while the enclave starts. */
  readonly vsock: () => Pick<EnclaveVsock, 'report' | 'openPorts' | 'closePorts'> | undefined
  /** Undefined where the image has no egress. */
  readonly network: () => Pick<EnclaveNetwork, 'report'> | undefined
  /** Undefined while the enclave starts. */
  readonly nsm: () => readonly RequestStatistics[] | undefined
  /** Undefined while the enclave starts. */
  readonly inspect: () => Promise<Inspection> | undefined
}

/**
 * Listens on `keeper.sock` in the enclave's directory. Errors of a request go to its sender.
 * @throws The error of listen(2), for example when the directory is full.
 */
export async function serveKeeperSocket(
  directory: string,
  handler: KeeperSocketHandler,
): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    void serve(socket, handler)
  })
  server.listen(keeperSocketPath(directory))
  await once(server, 'listening')
  return server
}

async function serve(socket: Socket, handler: KeeperSocketHandler): Promise<void> {
  try {
    const request = parseKeeperRequest(await readLine(socket, REQUEST_MAX_BYTES))
    await carryOut(request, socket, handler)
    // Nothing more is asked, but an end must be noticed.
    socket.resume()
  } catch (error) {
    reply(socket, { ok: false, error: toData(hostFault(error) ?? error) })
    socket.end()
  }
}

async function carryOut(
  request: KeeperRequest,
  socket: Socket,
  handler: KeeperSocketHandler,
): Promise<void> {
  switch (request.command) {
    case 'terminate':
      handler.terminate(request.graceMs)
      reply(socket, { ok: true })
      return
    case 'console':
      followConsole(socket, handler)
      return
    default:
      reply(socket, { ok: true, result: await answerTo(request, handler) })
      socket.end()
  }
}

function followConsole(socket: Socket, handler: KeeperSocketHandler): void {
  const console = handler.console()
  if (console === undefined)
    throw new CloisterError('ERR_KEEPER_NO_CONSOLE', 'the enclave has no console')
  reply(socket, { ok: true })
  console.follow(socket)
}

function answerTo(
  request: Exclude<KeeperRequest, { command: 'terminate' | 'console' }>,
  handler: KeeperSocketHandler,
): Promise<unknown> {
  if (request.command === 'inspect') return started(handler.inspect())
  const vsock = started(handler.vsock())
  if (request.command === 'vsock') return report(vsock, request.connections, handler)
  return request.command === 'open-ports' ? vsock.openPorts(request) : vsock.closePorts(request)
}

/** @throws `ERR_KEEPER_CONTROL` */
function started<T>(value: T | undefined): T {
  if (value !== undefined) return value
  throw new CloisterError('ERR_KEEPER_CONTROL', 'the enclave has not started yet', {
    hint: 'Try again once `cloister describe-enclaves` shows it as RUNNING.',
  })
}

async function report(
  vsock: Pick<EnclaveVsock, 'report'>,
  withConnections: boolean,
  handler: KeeperSocketHandler,
): Promise<EnclaveReport> {
  const ofVsock = vsock.report(withConnections)
  // A network card that does not answer costs its own figures.
  const network = await handler
    .network()
    ?.report()
    .catch(() => undefined)
  const nsm = handler.nsm()
  return {
    ...(await ofVsock),
    ...(network !== undefined && { network }),
    ...(nsm !== undefined && { nsm }),
  }
}

function reply(socket: Socket, message: KeeperReply): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`)
}
