// Parent port 9000: the guest writes one byte, 0xB7, and reads it back: it has booted.

import type { Socket } from 'node:net'

const HEARTBEAT = 0xb7

/** Resolves `alive` when the first byte of a connection is the heartbeat; ignores anything else. */
export function serveHeartbeat(socket: Socket, alive: () => void): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => {
      resolve()
    })
    socket.once('data', (bytes: Buffer) => {
      if (bytes[0] !== HEARTBEAT) {
        socket.destroy()
        return
      }
      socket.end(Uint8Array.of(HEARTBEAT), () => socket.destroy())
      alive()
    })
  })
}
