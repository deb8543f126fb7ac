// The keeper holds the end of a console, whatever the guest writes and however slowly it is read.

import { PassThrough, Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { ConsoleLog } from '../../src/keeper/guest/console-log.ts'

const KEPT_BYTES = 256 * 1024

function logOf(...chunks: readonly Buffer[]): ConsoleLog {
  const source = new PassThrough()
  const log = new ConsoleLog(source)
  for (const chunk of chunks) source.emit('data', chunk)
  return log
}

function kept(log: ConsoleLog): Buffer {
  const chunks: Buffer[] = []
  const reader = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk)
      done()
    },
  })
  log.follow(reader)
  return Buffer.concat(chunks)
}

test.each([1, 1000, 4096, KEPT_BYTES - 1, KEPT_BYTES, KEPT_BYTES + 1, 3 * KEPT_BYTES])(
  'the last 256 KiB are kept when chunks have %i bytes',
  (size) => {
    const text = Buffer.from(Array.from({ length: 100_000 }, (_, n) => String(n)).join('\n'))
    const chunks: Buffer[] = []
    const step = Math.max(size, 97)
    for (let at = 0; at < text.length; at += step) chunks.push(text.subarray(at, at + step))
    expect(kept(logOf(...chunks)).equals(text.subarray(-KEPT_BYTES))).toBe(true)
  },
)

test('a reader that lags is dropped with a note, and costs no more than its queue', () => {
  const source = new PassThrough()
  const log = new ConsoleLog(source)
  const stuck = new Writable({ write: () => undefined })
  log.follow(stuck)
  for (let n = 0; n < 1000; n++) source.emit('data', Buffer.alloc(10_000))
  expect(stuck.writableEnded).toBe(true)
  expect(stuck.writableLength).toBeLessThan(2 * 1024 * 1024)
})
