// Many peers that misbehave at once, in a real guest: refusals stay quick, memory stays bounded, and
// whoever behaves is served meanwhile. And a machine that is paused.

import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Guest, VsockBackEnd } from '../fixtures/vsock-card/vsock-card-guest.ts'
import {
  dialGuest,
  digest,
  pattern,
  readAll,
  serveEcho,
  writeInChunks,
} from '../fixtures/vsock-card/vsock-card-host.ts'

const mebibyte = 1 << 20
const errno = { ECONNRESET: 104 } as const
const [echoPort, crowdPort, closedPort] = [7001, 7002, 7003] as const
const [guestEchoPort, guestSilentPort, guestClosedPort] = [5001, 5002, 5003] as const
const bufferBytes = 32 * mebibyte
/** What a card of 1,000 connections may need beside the bytes it holds. */
const overheadBytes = 8 * mebibyte

let card: VsockBackEnd
let guest: Guest

beforeAll(async () => {
  const ports = ['--parent-ports', 'all', '--guest-ports', 'all']
  card = new VsockBackEnd('card', [...ports, '--max-buffer-bytes', String(bufferBytes)])
  guest = await Guest.start(card)
  await card.listen(echoPort, serveEcho)
  await guest.command('listen-echo', guestEchoPort)
  await guest.command('listen-silent', guestSilentPort)
})

afterAll(async () => {
  await guest[Symbol.asyncDispose]()
  await card[Symbol.asyncDispose]()
})

async function expectService(): Promise<void> {
  expect(await guest.command('mirror', 3, echoPort, mebibyte, 65536)).toMatchObject({
    bytes: mebibyte,
  })
  const stream = await dialGuest(card.socket, guestEchoPort)
  stream.end('still here')
  expect((await readAll(stream)).toString()).toBe('still here')
}

describe('a port without listener is refused at once, and not after a wait', () => {
  test('of the parent, dialled by the guest', async () => {
    const refuse = async () => {
      const answer = await guest.command('dial', 3, closedPort)
      expect(answer).toMatchObject({ errno: errno.ECONNRESET })
    }
    expect(await medianMs(refuse)).toBeLessThan(1000)
  })

  test('of the guest, dialled by the host', async () => {
    const refuse = () => expect(dialGuest(card.socket, guestClosedPort)).rejects.toThrow('refused')
    expect(await medianMs(refuse)).toBeLessThan(1000)
  })

  /** Of 200, on the host's clock. */
  async function medianMs(action: () => Promise<unknown>): Promise<number> {
    const times: number[] = []
    for (let count = 0; count < 200; count++) {
      const begin = performance.now()
      await action()
      times.push(performance.now() - begin)
    }
    const [median = NaN] = times.sort((a, b) => a - b).slice(100)
    return median
  }
})

describe('1,000 connections whose reader does not read', () => {
  test('on the host hold no more memory of the card than it was allowed', async () => {
    const sockets: Socket[] = []
    const server = await card.listen(crowdPort, (socket) => {
      sockets.push(socket.on('error', () => undefined).pause())
    })
    const filling = guest.command<{ sent: number }>('fill', 3, crowdPort, 1000)
    filling.catch(() => undefined)
    await expect.poll(() => sockets.length, { timeout: 60_000 }).toBe(1000)
    let most = 0
    for (let round = 0; round < 20; round++) {
      // Now and then some bytes are taken, so that what is held keeps moving.
      for (const socket of sockets) socket.read()
      await expectService()
      most = Math.max(most, card.ownBytes())
    }
    const { sent } = await filling
    most = Math.max(most, card.ownBytes())
    const status = await card.status()
    expect(sent).toBeGreaterThan(1000 * 200_000)
    expect(status.bufferedBytes).toBeGreaterThan(bufferBytes / 2)
    expect(status.bufferedBytes).toBeLessThanOrEqual(bufferBytes)
    expect(most).toBeLessThan(bufferBytes + overheadBytes)
    await expectService()
    expect(await guest.command('release')).toEqual({ released: 1000 })
    for (const socket of sockets) socket.destroy()
    await expect.poll(async () => (await card.status()).connections).toBe(1)
    server.close()
  })

  test('in the guest hold none: the hosts wait', async () => {
    const before = card.ownBytes()
    // What the guest buffers is its own memory, of which it has 256 MiB.
    const dials = Array.from({ length: 200 }, () => dialGuest(card.socket, guestSilentPort))
    const sockets = await Promise.all(dials)
    const bytes = pattern(mebibyte)
    for (const socket of sockets) socket.on('error', () => undefined).write(bytes)
    await expect.poll(() => settledBytesToGuest(), { timeout: 60_000 }).toBeGreaterThan(0)
    expect((await card.status()).bufferedBytes).toBe(0)
    expect(card.ownBytes()).toBeLessThan(before + overheadBytes)
    await expectService()
    expect(await guest.command('release')).toEqual({ released: sockets.length })
    for (const socket of sockets) socket.destroy()
    await expect.poll(async () => (await card.status()).connections).toBe(1)
  })

  /** Bytes passed to the guest once they grow no more, else 0. */
  async function settledBytesToGuest(): Promise<number> {
    const count = async () => (await card.status()).counters['bytesToGuest'] ?? 0
    const before = await count()
    await new Promise((fulfil) => setTimeout(fulfil, 500))
    return (await count()) === before ? before : 0
  }
})

test('a machine that is paused and goes on loses no connection and no byte', async () => {
  const total = 64 * mebibyte
  const qmp = await guest.qmp()
  const mirrored = guest.command('mirror', 3, echoPort, total, 65536)
  const socket = await dialGuest(card.socket, guestEchoPort)
  const echoed = digest(socket)
  const written = writeInChunks(socket, pattern(total), 65536)
  for (let pause = 0; pause < 5; pause++) {
    await new Promise((fulfil) => setTimeout(fulfil, 50))
    await qmp.execute('stop')
    // What the guest has queued before is still taken.
    await expect.poll(packetsInTenthSecond).toBe(0)
    await qmp.execute('cont')
  }
  expect(await mirrored).toMatchObject({ bytes: total })
  await written
  expect((await echoed).bytes).toBe(total)

  async function packetsInTenthSecond(): Promise<number> {
    const count = async () => (await card.status()).counters['packetsFromGuest'] ?? NaN
    const before = await count()
    await new Promise((fulfil) => setTimeout(fulfil, 100))
    return (await count()) - before
  }
})
