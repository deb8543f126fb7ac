// Streams through the card, in a real guest: what goes in comes out, whichever end dials, however
// it is cut, and however slowly it is read.

import { execFile } from 'node:child_process'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { once } from '../fixtures/once.ts'
import { Guest, VsockBackEnd } from '../fixtures/vsock-card/vsock-card-guest.ts'
import {
  dialGuest,
  digest,
  pattern,
  readAll,
  serveDigest,
  serveEcho,
  writeInChunks,
  type Digest,
} from '../fixtures/vsock-card/vsock-card-host.ts'

const mebibyte = 1 << 20
const [sinkPort, echoPort, closedPort] = [7000, 7001, 7002] as const
const [guestSinkPort, guestEchoPort, guestClosedPort] = [5000, 5001, 5002] as const
const errno = { ENODEV: 19, ESOCKTNOSUPPORT: 94, ECONNRESET: 104 } as const

let card: VsockBackEnd
let guest: Guest

beforeAll(async () => {
  card = new VsockBackEnd('card', ['--parent-ports', 'all', '--guest-ports', 'all'])
  guest = await Guest.start(card)
  await card.listen(sinkPort, (socket) => void serveDigest(socket))
  await card.listen(echoPort, serveEcho)
  await guest.command('listen-sink', guestSinkPort)
  await guest.command('listen-echo', guestEchoPort)
})

afterAll(async () => {
  await guest[Symbol.asyncDispose]()
  await card[Symbol.asyncDispose]()
})

const chunks = [1, 3, 1000, 4095, 4096, 4097, 32768, 65535, 65536, 65537, 262_144, mebibyte]

describe.each(chunks)('writes of %i bytes', (chunk) => {
  const total = Math.min(chunk * 64, 4 * mebibyte)
  const expected: Digest = { bytes: total, crc32: crc32(pattern(total)) }

  test('reach the host whole, and its answer after the end comes back', async () => {
    const { answer } = await guest.command<{ answer: string }>('send', 3, sinkPort, total, chunk)
    expect(JSON.parse(answer)).toEqual(expected)
  })

  test('reach the guest whole, and its answer after the end comes back', async () => {
    const socket = await dialGuest(card.socket, guestSinkPort)
    const [answer] = await Promise.all([
      readAll(socket),
      writeInChunks(socket, pattern(total), chunk),
    ])
    expect(JSON.parse(answer.toString())).toEqual(expected)
  })

  test('come back from an echo while more are sent', async () => {
    const mirrored = await guest.command('mirror', 3, echoPort, total, chunk)
    expect(mirrored).toMatchObject({ bytes: total })
    const socket = await dialGuest(card.socket, guestEchoPort)
    const [echoed] = await Promise.all([
      digest(socket),
      writeInChunks(socket, pattern(total), chunk),
    ])
    expect(echoed).toEqual(expected)
  })
})

describe('addresses', () => {
  test.each([2, 3])('the parent answers at CID %i from that CID', async (cid) => {
    expect(await guest.command('dial', cid, echoPort)).toMatchObject({ peer: cid })
  })

  test.each([0, 4, 5, 99])('nobody answers at CID %i', async (cid) => {
    expect(await guest.command('dial', cid, echoPort)).toMatchObject({ errno: errno.ECONNRESET })
  })

  test.each([1, 16])('CID %i, the guest itself, does not lead to the parent', async (cid) => {
    const { connections } = await card.status()
    const answer = await guest.command<{ errno?: number }>('dial', cid, echoPort)
    expect(answer.errno).toBeDefined()
    expect((await card.status()).connections).toBe(connections)
  })

  test.each([2, 3])('a port of CID %i without listener is refused', async (cid) => {
    const answer = await guest.command('dial', cid, closedPort)
    expect(answer).toMatchObject({ errno: errno.ECONNRESET })
  })

  test('a port of the guest without listener is refused', async () => {
    await expect(dialGuest(card.socket, guestClosedPort)).rejects.toThrow('refused')
  })

  test('sockets of sequenced packets are refused', async () => {
    const answer = await guest.command<{ errno: number }>('seqpacket', 3, echoPort)
    expect([errno.ESOCKTNOSUPPORT, errno.ENODEV]).toContain(answer.errno)
  })
})

describe('many connections', () => {
  test('1,000 that the guest has open at once each get their own bytes', async () => {
    expect(await guest.command('dial-together', 3, echoPort, 1000)).toEqual({ echoed: 1000 })
  })

  test('1,000 that the host has open at once each get their own bytes', async () => {
    const sockets: Socket[] = []
    // A busy guest has five seconds for each: not for all of them together.
    while (sockets.length < 1000) {
      const dials = Array.from({ length: 50 }, () => dialGuest(card.socket, guestEchoPort))
      sockets.push(...(await Promise.all(dials)))
    }
    const answers = sockets.map(async (socket, index) => {
      socket.end(`number ${String(index)}`)
      return (await readAll(socket)).toString()
    })
    expect(await Promise.all(answers)).toEqual(sockets.map((_, index) => `number ${String(index)}`))
  })

  test('10,000 of the guest one after the other', async () => {
    expect(await guest.command('dial-in-turn', 3, echoPort, 10_000)).toMatchObject({
      echoed: 10_000,
    })
  })

  test('10,000 of the host one after the other', async () => {
    for (let index = 0; index < 10_000; index++) {
      const socket = await dialGuest(card.socket, guestEchoPort)
      socket.end('x')
      expect((await readAll(socket)).toString()).toBe('x')
    }
  })

  test('leave nothing behind', async () => {
    const commandsOnly = 1
    await expect.poll(async () => (await card.status()).connections).toBe(commandsOnly)
  })
})

describe('slow readers', () => {
  test('on the host push back: the card holds no more than it promised', async () => {
    const accepted = withResolvers<Socket>()
    const server = await card.listen(7100, accepted.resolve)
    const total = 32 * mebibyte
    const sending = guest.command<{ answer: string }>('send', 3, 7100, total, 65536)
    const socket = await accepted.promise
    socket.pause()
    await expect.poll(async () => (await card.status()).bufferedBytes).toBeGreaterThan(0)
    const quiet = await settledBytes()
    expect(quiet).toBeLessThan(2 * mebibyte)
    expect((await card.status()).bufferedBytes).toBeLessThanOrEqual(256 * 1024)
    await serveDigest(socket)
    expect(JSON.parse((await sending).answer)).toEqual({
      bytes: total,
      crc32: crc32(pattern(total)),
    })
    server.close()
  })

  test('in the guest push back: the host waits, and loses nothing', async () => {
    const total = 8 * mebibyte
    const server = await card.listen(
      7101,
      (socket) => void writeInChunks(socket, pattern(total), 65536),
    )
    const drained = await guest.command('drain', 3, 7101, 1500)
    expect(drained).toMatchObject({ bytes: total, crc32: crc32(pattern(total)) })
    server.close()
  })

  /** Bytes passed to the host, once they do not grow any more. */
  async function settledBytes(): Promise<number> {
    let before = -1
    for (;;) {
      const now = (await card.status()).counters['bytesToHost'] ?? 0
      if (now === before) return now - baseline
      before = now
      await new Promise((fulfil) => setTimeout(fulfil, 200))
    }
  }
  let baseline = 0
  beforeAll(async () => {
    baseline = (await card.status()).counters['bytesToHost'] ?? 0
  })
})

describe('abrupt ends', () => {
  test('a host program that dies mid-stream ends that stream only', async () => {
    const steady = await dialGuest(card.socket, guestEchoPort)
    const accepted = withResolvers<Socket>()
    const server = await card.listen(7102, accepted.resolve)
    const sending = guest.command('send', 3, 7102, 64 * mebibyte, 65536)
    sending.catch(() => undefined)
    const victim = await accepted.promise
    await once(victim, 'data')
    victim.destroy()
    await expect(sending).rejects.toThrow(/Broken pipe|reset/i)
    steady.end('still here')
    expect((await readAll(steady)).toString()).toBe('still here')
    server.close()
  })

  test('a guest program that closes with unread bytes ends that stream only', async () => {
    const accepted = withResolvers<Socket>()
    const server = await card.listen(7103, accepted.resolve)
    const dropping = guest.command('drop-unread', 3, 7103)
    const socket = await accepted.promise
    socket.on('error', () => undefined)
    const closed = new Promise((fulfil) => socket.on('close', fulfil))
    socket.write(pattern(mebibyte))
    await dropping
    await closed
    expect(await guest.command('dial', 3, echoPort)).toMatchObject({ peer: 3 })
    server.close()
  })
})

describe('abrupt ends of streams that the host has dialled', () => {
  test('a host program that dies mid-stream ends that stream only', async () => {
    const [guestSourcePort, steady] = [5003, await dialGuest(card.socket, guestEchoPort)]
    await guest.command('listen-source', guestSourcePort, 64 * mebibyte)
    const victim = await dialGuest(card.socket, guestSourcePort)
    await once(victim.resume(), 'data')
    victim.destroy()
    steady.end('still here')
    expect((await readAll(steady)).toString()).toBe('still here')
    await expect.poll(async () => (await card.status()).connections).toBe(1)
  })

  test('a guest program that closes with unread bytes ends that stream only', async () => {
    const [guestDropPort, steady] = [5004, await dialGuest(card.socket, guestEchoPort)]
    await guest.command('listen-drop', guestDropPort)
    const victim = await dialGuest(card.socket, guestDropPort)
    const closed = new Promise((fulfil) => victim.on('error', () => undefined).on('close', fulfil))
    victim.resume().write(pattern(mebibyte))
    await closed
    steady.end('still here')
    expect((await readAll(steady)).toString()).toBe('still here')
  })
})

describe('tools made for this protocol', () => {
  test('socat reaches a port of the guest', async () => {
    const script = `printf 'CONNECT ${String(guestEchoPort)}\\nhello' | socat -t 60 - UNIX-CONNECT:${card.socket}`
    const { stdout } = await promisify(execFile)('sh', ['-c', script])
    expect(stdout).toMatch(/^OK \d+\nhello$/)
  })

  test('socat serves a port of the parent', async () => {
    const path = `${card.socket}_7104`
    const socat = execFile('socat', [`UNIX-LISTEN:${path},fork`, 'EXEC:cat'])
    await expect.poll(() => guest.command('dial', 3, 7104)).toMatchObject({ peer: 3 })
    expect(await guest.command('mirror', 3, 7104, mebibyte, 65536)).toMatchObject({
      bytes: mebibyte,
    })
    socat.kill()
  })
})

test('a gibibyte each way, in writes of mixed sizes on several streams, arrives unchanged', async () => {
  const sizes = [1000, 4096, 65536, 262_144]
  const each = (1024 * mebibyte) / sizes.length
  const streams = sizes.map((size) => guest.command('mirror', 3, echoPort, each, size))
  for (const mirrored of await Promise.all(streams)) expect(mirrored).toMatchObject({ bytes: each })
})

function withResolvers<T>() {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((fulfil) => (resolve = fulfil))
  return { promise, resolve: (value: T) => resolve(value) }
}
