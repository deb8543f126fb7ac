// The keeper's own socket, `keeper.sock`: one JSON line in, one JSON line out. After the reply to
// `console` the console's bytes follow; after the reply to `terminate`, which comes at once, the
// connection stays open until the keeper is done and gone. Only the enclave's owner can reach it.

import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { readLine } from '../process/index.ts'
import type { ConsoleLog } from './console-log.ts'

const REQUEST_MAX_BYTES = 4096

export type ControlRequest =
  { readonly command: 'terminate'; readonly graceMs: number } | { readonly command: 'console' }

export interface ControlReply {
  readonly ok: boolean
  readonly error?: string
}

export interface ControlHandler {
  readonly terminate: (graceMs: number) => void
  /** Undefined while the enclave has no console. */
  readonly console: () => ConsoleLog | undefined
}

export function controlSocketPath(directory: string): string {
  return join(directory, 'keeper.sock')
}

export async function serveControl(directory: string, handler: ControlHandler): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    void serve(socket, handler)
  })
  server.listen(controlSocketPath(directory))
  await once(server, 'listening')
  return server
}

async function serve(socket: Socket, handler: ControlHandler): Promise<void> {
  try {
    carryOut(parseRequest(await readLine(socket, REQUEST_MAX_BYTES)), socket, handler)
    // Nothing more is asked, but an end must be noticed.
    socket.resume()
  } catch (error) {
    reply(socket, { ok: false, error: messageOf(error) })
    socket.end()
  }
}

function carryOut(request: ControlRequest, socket: Socket, handler: ControlHandler): void {
  if (request.command === 'terminate') {
    handler.terminate(request.graceMs)
    reply(socket, { ok: true })
    return
  }
  const console = handler.console()
  if (console === undefined) throw new Error('it has no console')
  reply(socket, { ok: true })
  console.follow(socket)
}

function parseRequest(line: string): ControlRequest {
  const { command, graceMs } = JSON.parse(line) as Readonly<Record<string, unknown>>
  if (command === 'console') return { command }
  const isGrace = Number.isSafeInteger(graceMs) && (graceMs as number) >= 0
  if (command === 'terminate' && isGrace) return { command, graceMs: graceMs as number }
  throw new Error('it is no request')
}

function reply(socket: Socket, message: ControlReply): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`)
}
