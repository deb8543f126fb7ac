// Parent port 9001: NSM requests of the guest, answered by the chip. One request at a time.

import type { Socket } from 'node:net'
import { encodeFrame, readFrames } from '../vsock/index.ts'

/** Linux drivers/misc/nsm.c: a request holds at most 0x1000 bytes. */
const REQUEST_MAX_BYTES = 0x1000

/** Answers every request of one connection, in order, until the guest closes it. */
export async function serveNsm(
  socket: Socket,
  handle: (request: Uint8Array) => Promise<Uint8Array>,
): Promise<void> {
  for await (const request of readFrames(socket, REQUEST_MAX_BYTES)) {
    const response = await handle(request)
    if (!socket.write(encodeFrame(response))) await drained(socket)
  }
}

/** A guest that does not read must not make us hold its answers. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      socket.off('drain', settle).off('close', settle)
      resolve()
    }
    if (socket.destroyed) resolve()
    else socket.once('drain', settle).once('close', settle)
  })
}
