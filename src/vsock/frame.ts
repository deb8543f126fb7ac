// Messages on a vsock stream: a 4-byte big-endian length, then that many bytes. Half-close does not
// pass through every vsock card, so a message says itself where it ends.

import type { Readable } from 'node:stream'
import { CloisterError } from '../errors.ts'

const LENGTH_BYTES = 4

/** One message with its 4-byte big-endian length in front. */
export function encodeFrame(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(LENGTH_BYTES + message.length)
  new DataView(frame.buffer).setUint32(0, message.length)
  frame.set(message, LENGTH_BYTES)
  return frame
}

/**
 * The messages of a stream, one by one. Memory is bounded by `maxBytes` plus one chunk.
 *
 * @throws `ERR_VSOCK_FRAME` for a message longer than `maxBytes` or a stream that ends inside one.
 */
export async function* readFrames(stream: Readable, maxBytes: number): AsyncGenerator<Uint8Array> {
  let pending: Buffer = Buffer.alloc(0)
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      if (pending.length < LENGTH_BYTES) break
      const length = pending.readUInt32BE(0)
      if (length > maxBytes) throw tooLong(length, maxBytes)
      if (pending.length < LENGTH_BYTES + length) break
      yield Uint8Array.from(pending.subarray(LENGTH_BYTES, LENGTH_BYTES + length))
      pending = pending.subarray(LENGTH_BYTES + length)
    }
  }
  if (pending.length > 0) {
    throw new CloisterError('ERR_VSOCK_FRAME', 'the stream ended inside a message', {
      details: { missingAfterBytes: pending.length },
    })
  }
}

function tooLong(length: number, maxBytes: number): CloisterError {
  return new CloisterError(
    'ERR_VSOCK_FRAME',
    `a message of ${String(length)} bytes exceeds the limit of ${String(maxBytes)}`,
    { details: { length, maxBytes } },
  )
}
