// Ports of the parent: what is done for a guest's connections at a time is bounded, open or closed.

import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { EventEmitter } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { listenForGuest } from '../../src/vsock/index.ts'
import { once } from '../fixtures/once.ts'

test('a guest that dials, asks and hangs up again and again is served once while its first request lasts', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-listen-'))
  const socketPath = join(directory, 'vsock.sock')
  const path = `${socketPath}_9001`
  const answer = new EventEmitter()
  const asked: string[] = []
  const serve = async (socket: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of socket) {
      asked.push(chunk.toString())
      await once(answer, 'sent')
      return
    }
  }
  try {
    await using _ = await listenForGuest({ socketPath, port: 9001, maxConnections: 1 }, serve)
    for (let n = 0; n < 50; n++) {
      await new Promise((resolve) => {
        const socket = createConnection(path)
          .on('error', () => undefined)
          .on('close', resolve)
        socket.end(`request ${String(n)}`, () => socket.destroy())
      })
    }
    expect(asked).toEqual(['request 0'])
    // Whoever comes then is served.
    await vi.waitFor(
      () => {
        answer.emit('sent')
        createConnection(path)
          .on('error', () => undefined)
          .end('last')
        expect(asked).toContain('last')
      },
      { timeout: 30_000 },
    )
    expect(asked.length).toBeLessThan(5)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
