// The other end of `keeper.sock`.

import { createConnection, type Socket } from 'node:net'
import { once } from 'node:events'
import { CloisterError, messageOf } from '../errors.ts'
import { readLine } from '../process/index.ts'
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
    const reply = JSON.parse(await readLine(socket, REPLY_MAX_BYTES)) as ControlReply
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
