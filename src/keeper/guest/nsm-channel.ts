// NSM requests of the guest, answered by the chip, one at a time: over parent port 9001 from our
// agent, or from the NSM card.

import type { Duplex } from 'node:stream'
import { encodeFrame, readFrames } from '../../vsock/index.ts'

/** Linux drivers/misc/nsm.c: a request holds at most 0x1000 bytes. */
const REQUEST_MAX_BYTES = 0x1000

/** Answers every request of one connection, in order, until the other end closes it. */
export async function serveNsm(
  socket: Duplex,
  handle: (request: Uint8Array) => Promise<Uint8Array>,
): Promise<void> {
  for await (const request of readFrames(socket, REQUEST_MAX_BYTES)) {
    const response = await handle(request)
    if (!socket.write(encodeFrame(response))) await drained(socket)
  }
}

/** A guest that does not read must not make us hold its answers. */
function drained(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      socket.off('drain', settle).off('close', settle)
      resolve()
    }
    if (socket.destroyed) resolve()
    else socket.once('drain', settle).once('close', settle)
  })
}
