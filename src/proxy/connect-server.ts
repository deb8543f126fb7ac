// Connects to a server at the first of its addresses that answers.

import { createConnection, type Socket } from 'node:net'
import { once } from 'node:events'
import { CloisterError, reasonOf } from '../errors.ts'
import { describeServer, type Target } from './target.ts'

/** For all addresses together. */
const CONNECT_TIMEOUT_MS = 10_000
/** For one that is not the last. */
const ATTEMPT_TIMEOUT_MS = 3000

/** @throws `ERR_PROXY_CONNECT` when none of the addresses answers. */
export async function connectServer(target: Target, addresses: readonly string[]): Promise<Socket> {
  const deadline = performance.now() + CONNECT_TIMEOUT_MS
  let cause: unknown
  for (const [index, address] of addresses.entries()) {
    const left = Math.max(1, deadline - performance.now())
    const isLast = index === addresses.length - 1
    try {
      const timeoutMs = isLast ? left : Math.min(left, ATTEMPT_TIMEOUT_MS)
      return await connectTo(address, target.port, timeoutMs)
    } catch (error) {
      cause = error
    }
  }
  const message = `cannot connect to ${describeServer(target)}: ${reasonOf(cause)}`
  throw new CloisterError('ERR_PROXY_CONNECT', message, { cause, details: { addresses } })
}

async function connectTo(host: string, port: number, timeoutMs: number): Promise<Socket> {
  const options = { allowHalfOpen: true, noDelay: true, keepAlive: true }
  const socket = createConnection({ host, port, ...options })
  const timer = setTimeout(() => {
    socket.destroy(new Error('no answer'))
  }, timeoutMs)
  try {
    await once(socket, 'connect')
    return socket
  } finally {
    clearTimeout(timer)
  }
}
