// The keeper works for a guest's connection as long as somebody is there to take the answers.

import { createConnection, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { serveNsm } from '../../src/keeper/guest/nsm-channel.ts'
import { encodeFrame, listenForGuest } from '../../src/vsock/index.ts'
import { once } from '../fixtures/once.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

const REQUESTS = 1000
const requests = Buffer.concat(Array<Uint8Array>(REQUESTS).fill(encodeFrame(Uint8Array.of(1))))

const opened: AsyncDisposable[] = []

afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing[Symbol.asyncDispose]()
})

/** A guest's end of a connection that is served, and how many of its requests were handled. */
async function connected(): Promise<{ socket: Socket; handled: () => number; dial: Dial }> {
  const directory = await temporaryDirectory()
  opened.push(directory)
  let count = 0
  const handle = async (): Promise<Uint8Array> => {
    count++
    await sleep(1)
    return new Uint8Array(12_000)
  }
  const options = { socketPath: directory.join('v'), port: 9001, maxConnections: 1 }
  opened.push(await listenForGuest(options, (socket) => serveNsm(socket, handle)))
  const dial: Dial = async () => {
    const socket = createConnection(directory.join('v_9001'))
    await once(socket, 'connect')
    return socket.on('error', () => undefined)
  }
  return { socket: await dial(), handled: () => count, dial }
}

type Dial = () => Promise<Socket>

test('requests of a guest that has hung up are dropped', async () => {
  const { socket, handled } = await connected()
  socket.write(requests)
  await expect.poll(handled).toBeGreaterThan(0)
  socket.destroy()
  await sleep(500)
  expect(handled()).toBeLessThan(REQUESTS / 10)
})

test('a guest that does not read its answers gets no more of them', async () => {
  const { socket, handled } = await connected()
  socket.pause().write(requests)
  let before = -1
  while (before !== handled()) {
    before = handled()
    await sleep(500)
  }
  expect(before).toBeGreaterThan(0)
  expect(before).toBeLessThan(REQUESTS / 10)
  socket.destroy()
})

test('a second connection is closed at once, and the first one goes on', async () => {
  const { socket, dial } = await connected()
  const second = await dial()
  await once(second.resume(), 'close')
  socket.write(encodeFrame(Uint8Array.of(1)))
  const [answer] = (await once(socket, 'data')) as [Buffer]
  expect(answer.readUInt32BE()).toBe(12_000)
  socket.destroy()
})

test('another connection is served when the first one has gone', async () => {
  const { socket, dial } = await connected()
  socket.destroy()
  await expect
    .poll(async () => {
      const next = await dial()
      next.write(encodeFrame(Uint8Array.of(1)))
      const ends = [once(next, 'data'), once(next, 'close')]
      const [answer] = (await Promise.race(ends)) as readonly unknown[]
      next.destroy()
      return answer
    })
    .toBeInstanceOf(Buffer)
})
