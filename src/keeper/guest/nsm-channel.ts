// NSM requests of the guest, answered by the chip, one at a time: over parent port 9001 from our
// agent, or from the NSM card.

import type { Duplex } from 'node:stream'
import { encodeFrame, readFrames } from '../../vsock/index.ts'

/** Linux drivers/misc/nsm.c: a request holds at most 0x1000 bytes. */
const REQUEST_MAX_BYTES = 0x1000

/**
 * Answers every request of one connection, in order, until the other end closes it. The next request
 * is handled, and more is read, only once the last answer has left; requests that were read from a
 * connection that has gone are dropped.
 */
export async function serveNsm(
  socket: Duplex,
  handle: (request: Uint8Array) => Promise<Uint8Array>,
): Promise<void> {
  for await (const request of readFrames(socket, REQUEST_MAX_BYTES)) {
    if (socket.destroyed) return
    const response = await handle(request)
    await sent(socket, encodeFrame(response))
  }
}

/** Settles when the bytes have left for the other end, or cannot any more. */
function sent(socket: Duplex, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', resolve)
    socket.write(bytes, () => {
      socket.off('close', resolve)
      resolve()
    })
  })
}
