// What the keeper decides and relies on: ports, limits, and who outlives whom.

import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { once } from '../fixtures/once.ts'
import {
  cardBinary,
  Guest,
  VsockBackEnd,
  type CardStatus,
} from '../fixtures/vsock-card/vsock-card-guest.ts'
import { dialGuest, readAll, serveEcho } from '../fixtures/vsock-card/vsock-card-host.ts'

const ECONNRESET = 104
const echoPort = 7000
const guestEchoPort = 5001
const mebibyte = 1 << 20

test('ports are closed until the keeper opens them, and again when it closes them', async () => {
  await using card = new VsockBackEnd('card')
  await using guest = await Guest.start(card)
  await card.listen(echoPort, serveEcho)
  await guest.command('listen-echo', guestEchoPort)

  expect(await guest.command('dial', 3, echoPort)).toMatchObject({ errno: ECONNRESET })
  await expect(dialGuest(card.socket, guestEchoPort)).rejects.toThrow('refused')

  const open = { parentPorts: String(echoPort), guestPorts: String(guestEchoPort) }
  expect(await card.request({ request: 'openPorts', ...open })).toMatchObject({
    parentPorts: `${String(echoPort)},9000-9002`,
    guestPorts: String(guestEchoPort),
  })
  expect(await guest.command('dial', 3, echoPort)).toMatchObject({ peer: 3 })
  const stream = await dialGuest(card.socket, guestEchoPort)

  const cut = readAll(stream)
  await card.request({ request: 'closePorts', guestPorts: 'all' })
  expect(await cut).toHaveLength(0)
  await expect(dialGuest(card.socket, guestEchoPort)).rejects.toThrow('refused')
  const { counters } = await card.status()
  expect(counters).toMatchObject({ refusedByPolicy: 3 })
})

test('the keeper sees every connection', async () => {
  await using card = new VsockBackEnd('card', ['--guest-ports', 'all'])
  await using guest = await Guest.start(card)
  await guest.command('listen-echo', guestEchoPort)
  const stream = await dialGuest(card.socket, guestEchoPort)
  stream.write('12345')
  await once(stream.resume(), 'data')
  expect(await card.request({ request: 'connections' })).toMatchObject([
    { dialledBy: 'guest', parentCid: 2, parentPort: 9000, state: 'established' },
    {
      dialledBy: 'host',
      parentCid: 3,
      guestPort: guestEchoPort,
      state: 'established',
      bytesToGuest: 5,
      bytesToHost: 5,
      bufferedBytes: 0,
    },
  ])
  stream.destroy()
})

test('connections beyond the limit are refused, and the others go on', async () => {
  await using card = new VsockBackEnd('card', ['--parent-ports', 'all', '--max-connections', '5'])
  await using guest = await Guest.start(card)
  await card.listen(echoPort, serveEcho)
  await expect(guest.command('dial-together', 3, echoPort, 10)).rejects.toThrow(/reset/i)
  expect(await guest.command('dial-together', 3, echoPort, 4)).toEqual({ echoed: 4 })
})

test('requests that are none are answered with an error', async () => {
  await using card = new VsockBackEnd('card')
  await expect(card.request({ request: 'frobnicate' })).rejects.toThrow('unknown variant')
  await expect(card.request({ request: 'openPorts', guestPorts: '5-1' })).rejects.toThrow(
    'port list',
  )
  expect(await card.status()).toMatchObject({ guestPorts: 'none' })
})

test('a card serves the next machine after the first one has died', async () => {
  await using card = new VsockBackEnd('card', ['--guest-ports', 'all'])
  const first = await Guest.start(card)
  await first.command('listen-echo', guestEchoPort)
  const orphan = await dialGuest(card.socket, guestEchoPort)
  const ended = readAll(orphan)
  await first[Symbol.asyncDispose]()
  expect(await ended).toHaveLength(0)

  await using second = await Guest.restart(card)
  await second.command('listen-echo', guestEchoPort)
  const stream = await dialGuest(card.socket, guestEchoPort)
  stream.end('again')
  expect((await readAll(stream)).toString()).toBe('again')
})

test('what a guest sent before it ended still reaches a slow reader', async () => {
  await using card = new VsockBackEnd('card', ['--parent-ports', 'all', '--exit-on-disconnect'])
  await using guest = await Guest.start(card)
  const accepted = new Promise<Socket>((fulfil) => void card.listen(echoPort, fulfil))
  const bytes = 400 * 1024
  const sending = guest.command('send', 3, echoPort, bytes, 65536)
  sending.catch(() => undefined)
  const socket = await accepted
  await expect.poll(async () => (await card.status()).bufferedBytes).toBeGreaterThan(0)
  await expect.poll(async () => sent(await card.status())).toBeGreaterThanOrEqual(bytes)
  await guest.reboot()
  expect(await readAll(socket)).toHaveLength(bytes)
  await expect.poll(() => card.process.exitCode).toBe(0)

  function sent({ counters, bufferedBytes }: CardStatus): number {
    return (counters['bytesToHost'] ?? 0) + bufferedBytes
  }
})

test('the card ends when its keeper does', async () => {
  const card = new VsockBackEnd('card')
  await card.message(({ event }) => event === 'ready')
  const exit = once(card.process, 'exit')
  card.hangUp()
  expect(await exit).toEqual([0, null])
  await card[Symbol.asyncDispose]()
})

test('an idle card keeps less than 8 MiB of memory to itself', async () => {
  await using card = new VsockBackEnd('card')
  await using guest = await Guest.start(card)
  expect(await guest.command('dial', 3, echoPort)).toMatchObject({ errno: ECONNRESET })
  expect(card.residentBytes()).toBeLessThan(8 * mebibyte)
})

test('hosts that connect and say nothing, or nonsense, are shown the door', async () => {
  await using card = new VsockBackEnd('card', ['--guest-ports', 'all'])
  await card.message(({ event }) => event === 'ready')
  for (const line of ['GET / HTTP/1.1\r\n', 'CONNECT x\n', 'x'.repeat(100)]) {
    const socket = connect(card.socket)
    socket.on('error', () => undefined)
    const closed = new Promise((fulfil) => socket.on('close', fulfil))
    socket.resume().write(line)
    await closed
  }
  const silent = connect(card.socket)
  await new Promise((fulfil) => silent.resume().on('close', fulfil))
  expect(await card.status()).toMatchObject({ connections: 0 })
})

test.each([
  ['--guest-cid 3 --vhost-user vu --uds-path v', 'a reserved CID'],
  ['--guest-cid 16 --uds-path v', 'no place for the VMM'],
  ['--guest-cid 16 --vhost-user vu --uds-path v --parent-ports 5-1', 'an empty range'],
])('refuses %s: %s', async (line) => {
  const refused = spawn(cardBinary(), line.split(' '), { stdio: 'ignore' })
  expect(await once(refused, 'exit')).toEqual([2, null])
})
