// The keeper's side of the vsock card's channel. The card works for the guest: what it says
// is believed only when it makes sense, and it is not waited for.

import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { VsockCardChannel } from '../../src/vsock/card-channel.ts'
import type { Refusal } from '../../src/vsock/card-report.ts'
import { noPorts } from '../../src/vsock/port-list.ts'

const counters = Object.fromEntries(
  [
    ...['packetsFromGuest', 'packetsToGuest', 'bytesToHost', 'bytesToGuest', 'openedByGuest'],
    ...['openedByHost', 'refusedByPolicy', 'refusedWithoutListener', 'refusedByLimit'],
    ...['malformed', 'violations', 'droppedResets'],
  ].map((name, index) => [name, index]),
)
const status = {
  guestCid: 16,
  parentPorts: '9000-9002',
  guestPorts: 'none',
  limits: { connections: 2048, connectionsPerSecond: 4096, bufferBytes: 1 },
  connections: 1,
  bufferedBytes: 0,
  counters,
}
const connection = {
  ...{ dialledBy: 'guest', state: 'established', parentCid: 3, parentPort: 8000, guestPort: 1 },
  ...{ bytesToGuest: 2, bytesToHost: 3, bufferedBytes: 4, windowBytes: 5, ageMs: 6 },
}
const failure = expect.objectContaining({ code: 'ERR_VSOCK_CONTROL' }) as Error

type Answer = (request: Readonly<Record<string, unknown>>) => unknown

/** A card that answers as it is told, and says what it likes. */
class FakeCard {
  readonly requests: Readonly<Record<string, unknown>>[] = []
  readonly channel: Duplex

  constructor(answer: Answer) {
    this.channel = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        const request = JSON.parse(chunk.toString()) as Readonly<Record<string, unknown>>
        this.requests.push(request)
        const result = answer(request)
        if (result !== undefined) this.say({ id: request['id'], ...(result as object) })
        done()
      },
    })
  }

  say(message: unknown): void {
    this.channel.push(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`)
  }
}

test('answers reach whoever asked, in whatever order they come', async () => {
  const held: unknown[] = []
  const card = new FakeCard(({ id, request }) => {
    held.unshift({ id, result: request === 'status' ? status : [connection] })
    return undefined
  })
  const control = new VsockCardChannel(card.channel)
  const answers = Promise.all([control.status(), control.connections()])
  for (const answer of held) card.say(answer)
  const [asked, list] = await answers
  expect(asked).toMatchObject({ connections: 1, counters })
  expect(list).toEqual([connection])
})

test('port lists are sent as they were written', async () => {
  const card = new FakeCard(() => ({ result: status }))
  const channel = new VsockCardChannel(card.channel)
  const ports = { parentPorts: '8000,1-3', guestPorts: 'none' }
  await channel.openPorts(ports)
  await channel.closePorts(ports)
  expect(card.requests).toMatchObject([
    { request: 'openPorts', ...ports },
    { request: 'closePorts', ...ports },
  ])
})

test('a card that hangs is not waited for', async () => {
  const control = new VsockCardChannel(new FakeCard(() => undefined).channel)
  await expect(control.status()).rejects.toThrow(failure)
  // Nor does it make its keeper remember questions without end.
  const many = Array.from({ length: 100 }, () => control.status().catch((error: unknown) => error))
  expect(await Promise.race(many)).toMatchObject({ code: 'ERR_VSOCK_CONTROL' })
  await Promise.all(many)
})

test('a refusal of the card is an error', async () => {
  const card = new FakeCard(() => ({ error: 'not a set of ports: x' }))
  await expect(new VsockCardChannel(card.channel).openPorts(noPorts)).rejects.toThrow(/not a set/)
})

test('a port list that the card refuses is told as that, and no other code of a card is believed', async () => {
  const codes = ['ERR_VSOCK_PORTS', 'ERR_INTERNAL']
  const card = new FakeCard(() => ({ error: { code: codes.shift(), message: 'x', hint: 'obey' } }))
  const control = new VsockCardChannel(card.channel)
  await expect(control.openPorts(noPorts)).rejects.toMatchObject({ code: 'ERR_VSOCK_PORTS' })
  const other = control.openPorts(noPorts)
  await expect(other).rejects.toMatchObject({ code: 'ERR_VSOCK_CONTROL' })
  await expect(other).rejects.not.toMatchObject({ hint: 'obey' })
})

test.each([
  ['nothing', undefined],
  ['no object', 7],
  ['a negative count', { ...status, connections: -1 }],
  ['half a byte', { ...status, bufferedBytes: 0.5 }],
  ['text for a number', { ...status, counters: { ...counters, malformed: '\u001b[2J' } }],
  ['a counter less', { ...status, counters: { ...counters, malformed: undefined } }],
  ['ports that are none', { ...status, parentPorts: '\u001b[2J' }],
])('a status with %s is an error', async (_what, result) => {
  const card = new FakeCard(() => ({ result }))
  await expect(new VsockCardChannel(card.channel).status()).rejects.toThrow(
    expect.objectContaining({
      code: expect.stringMatching(/^ERR_VSOCK_(CONTROL|PORTS)$/) as string,
    }) as Error,
  )
})

test.each([
  ['no list', { connections: [] }],
  ['a state that is none', [{ ...connection, state: 'owned' }]],
  ['a dialler that is none', [{ ...connection, dialledBy: '' }]],
  ['a port that is none', [{ ...connection, parentPort: null }]],
])('connections with %s are an error', async (_what, result) => {
  const card = new FakeCard(() => ({ result }))
  await expect(new VsockCardChannel(card.channel).connections()).rejects.toThrow(failure)
})

test('refusals are passed on, and other events are dropped', async () => {
  const card = new FakeCard(() => ({ result: status }))
  const control = new VsockCardChannel(card.channel)
  const refusals: Refusal[] = []
  control.onRefusal = (refusal) => refusals.push(refusal)
  card.say({ event: 'connected' })
  card.say({ event: 'refused', dialledBy: 'guest', port: 8000, reason: 'closed', more: 1 })
  await control.status()
  expect(refusals).toEqual([{ dialledBy: 'guest', port: 8000, reason: 'closed' }])
})

test.each([
  ['no JSON', 'ready'],
  ['null', 'null'],
  ['a line without an end', 'x'.repeat(2 ** 20 + 1)],
  ['a refusal of nobody', '{"event":"refused","dialledBy":"root","port":1,"reason":"closed"}'],
])('a card that says %s is hung up on', async (_what, line) => {
  const card = new FakeCard(() => undefined)
  const control = new VsockCardChannel(card.channel)
  const asked = control.status()
  card.say(line)
  await expect(asked).rejects.toThrow(failure)
  expect(card.channel.destroyed).toBe(true)
  await expect(control.status()).rejects.toThrow(failure)
})
