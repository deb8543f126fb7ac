// One line of a stream, bounded; whatever follows it stays in the stream.

import { once } from 'node:events'
import type { Duplex } from 'node:stream'

const NEWLINE = 0x0a

/**
 * Reads up to and including one newline, and returns the line without it.
 *
 * @throws Error when the stream ends or fails first, or the line is longer than `maxBytes`.
 */
export async function readLine(stream: Duplex, maxBytes: number): Promise<string> {
  let received = Buffer.alloc(0)
  for (;;) {
    const end = received.indexOf(NEWLINE)
    if (end > maxBytes || (end < 0 && received.length > maxBytes)) {
      throw new Error(`the line is longer than ${maxBytes} bytes`)
    }
    if (end >= 0) {
      stream.unshift(received.subarray(end + 1))
      return received.toString('utf8', 0, end)
    }
    received = Buffer.concat([received, await nextChunk(stream)])
  }
}

async function nextChunk(stream: Duplex): Promise<Buffer> {
  for (;;) {
    const chunk = stream.read() as Buffer | null
    if (chunk !== null) return chunk
    if (stream.readableEnded || stream.destroyed) throw new Error('the other end has closed')
    const settled = new AbortController()
    const { signal } = settled
    const ends = ['readable', 'end', 'close'].map((event) => once(stream, event, { signal }))
    try {
      await Promise.race(ends)
    } finally {
      settled.abort()
      await Promise.allSettled(ends)
    }
  }
}
