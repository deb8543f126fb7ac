// The keeper's own socket, `keeper.sock`: one JSON line in, one JSON line out. After the reply to
// `console` the console's bytes follow; after the reply to `terminate`, which comes at once, the
// connection stays open until the keeper is done and gone. Only the enclave's owner can reach it.

import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { messageOf } from '../errors.ts'
import type { ConsoleLog } from './console-log.ts'

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
    // readline passes the socket's errors on, as errors of its own.
    createInterface({ input: socket })
      .on('error', () => socket.destroy())
      .once('line', (line) => {
        answer(line, socket, handler)
      })
  })
  server.listen(controlSocketPath(directory))
  await once(server, 'listening')
  return server
}

function answer(line: string, socket: Socket, handler: ControlHandler): void {
  try {
    const request = JSON.parse(line) as ControlRequest
    if (request.command === 'terminate') {
      handler.terminate(request.graceMs)
      reply(socket, { ok: true })
      return
    }
    const console = handler.console()
    if (console === undefined) throw new Error('it has no console')
    reply(socket, { ok: true })
    console.follow(socket)
  } catch (error) {
    reply(socket, { ok: false, error: messageOf(error) })
    socket.end()
  }
}

function reply(socket: Socket, message: ControlReply): void {
  socket.write(`${JSON.stringify(message)}\n`)
}
