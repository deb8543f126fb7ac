// The other end of `keeper.sock`.

import { createConnection, type Socket } from 'node:net'
import { once } from 'node:events'
import { CloisterError, messageOf } from '../errors.ts'
import { controlSocketPath, type ControlReply, type ControlRequest } from './control-server.ts'

const REPLY_MAX_BYTES = 4096
const ANSWER_MS = 5000

/**
 * Sends one request to the keeper of the enclave in `directory`; the returned socket yields what
 * follows the reply.
 *
 * @throws `ERR_KEEPER_CONTROL` when the keeper is gone or refuses.
 */
export async function askKeeper(
  directory: string,
  request: ControlRequest,
  signal: AbortSignal = AbortSignal.timeout(ANSWER_MS),
): Promise<Socket> {
  const socket = createConnection(controlSocketPath(directory))
  const giveUp = (): void => void socket.destroy()
  signal.addEventListener('abort', giveUp)
  try {
    await once(socket, 'connect')
    socket.write(`${JSON.stringify(request)}\n`)
    const reply = JSON.parse(await readLine(socket)) as ControlReply
    if (!reply.ok) throw new Error(reply.error)
    socket.on('error', giveUp)
    return socket
  } catch (cause) {
    socket.destroy()
    throw new CloisterError('ERR_KEEPER_CONTROL', `the keeper did not do it: ${messageOf(cause)}`, {
      cause,
      details: { command: request.command },
    })
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

async function readLine(socket: Socket): Promise<string> {
  let received = Buffer.alloc(0)
  for (;;) {
    const end = received.indexOf(0x0a)
    if (end >= 0) {
      socket.unshift(received.subarray(end + 1))
      return received.toString('utf8', 0, end)
    }
    if (received.length > REPLY_MAX_BYTES) throw new Error('its reply is no line')
    const chunk = (await nextChunk(socket)) as Buffer | undefined
    if (chunk === undefined) throw new Error('it closed the connection')
    received = Buffer.concat([received, chunk])
  }
}

async function nextChunk(socket: Socket): Promise<unknown> {
  for (;;) {
    const chunk: unknown = socket.read()
    if (chunk !== null) return chunk
    if (socket.readableEnded || socket.destroyed) return undefined
    await Promise.race([once(socket, 'readable'), once(socket, 'end'), once(socket, 'close')])
  }
}
