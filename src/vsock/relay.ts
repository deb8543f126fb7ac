// Two streams joined: bytes both ways at the pace of the slower end, an end passed on as a half-close,
// a failure as a reset.

import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'

/** Passes everything on between two sockets with `allowHalfOpen`, until both ways have ended. */
export async function relay(one: Socket, other: Socket): Promise<void> {
  await Promise.all([passOn(one, other), passOn(other, one)])
}

/** A failure of one way ends the other way too. */
async function passOn(from: Socket, to: Socket): Promise<void> {
  try {
    await pipeline(from, to)
  } catch {
    reset(from)
    reset(to)
  }
}

/** The peer of a TCP socket sees a reset, the peer of a unix socket an end. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.remoteAddress === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
