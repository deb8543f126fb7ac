// Dials a port of the guest until something listens there: an enclave runs as soon as its app does,
// and the app may need a moment before it listens.

import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectGuest } from '../vsock/index.ts'

const RETRY_MS = 10
const ATTEMPT_MS = 1000

/**
 * @param vsockSocket - The enclave's `vsock.sock`.
 * @param timeoutMs - How long to try; once at least.
 * @throws `ERR_VSOCK_CONNECT`
 */
export async function connectWhenListening(
  vsockSocket: string,
  port: number,
  timeoutMs: number,
): Promise<Socket> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      return await connectGuest(vsockSocket, port, { timeoutMs: ATTEMPT_MS })
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(RETRY_MS)
    }
  }
}
