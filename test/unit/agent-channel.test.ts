// The agent tells once that the app runs, and once how it ended.

import { PassThrough } from 'node:stream'
import type { Socket } from 'node:net'
import { Encoder } from 'cbor-x'
import { expect, test } from 'vitest'
import {
  AgentChannel,
  parseAgentEvent,
  type AgentEvent,
} from '../../src/keeper/guest/agent-channel.ts'
import { encodeFrame } from '../../src/vsock/index.ts'

const cbor = new Encoder({ useRecords: false, mapsAsObjects: false, tagUint8Array: false })

type Message = AgentEvent | typeof configure | { readonly event: 'time'; readonly id: number }

function message(event: Message): Uint8Array {
  return encodeFrame(cbor.encode(new Map<string, unknown>(Object.entries(event))))
}

/** What is heard of an agent that says `events`, and how serving it ended. */
async function serve(...events: readonly Message[]) {
  const heard: AgentEvent[] = []
  const channel = new AgentChannel((event) => heard.push(event))
  const stream = new PassThrough()
  stream.end(Buffer.concat(events.map(message)))
  const failure = await channel.serve(stream as unknown as Socket).catch((error: unknown) => error)
  return { heard, failure }
}

const configure = { event: 'configure' } as const
const started = { event: 'started', pid: 7 } as const
const exited = { event: 'exited', code: 0 } as const

test('an app starts and exits', async () => {
  expect(await serve(started, exited)).toEqual({ heard: [started, exited], failure: undefined })
})

test('an agent that tells of a second start is heard no more', async () => {
  const { heard, failure } = await serve(started, started, started)
  expect(heard).toEqual([started])
  expect(failure).toMatchObject({ code: 'ERR_KEEPER_AGENT' })
})

/** What an agent that says `events` is sent, where there is a configuration. */
async function configured(...events: readonly Message[]) {
  const channel = new AgentChannel(() => undefined, Buffer.from('\x43abc', 'latin1'))
  const [inbound, sent] = [new PassThrough(), [] as Buffer[]]
  const socket = Object.assign(inbound, { write: (bytes: Buffer) => sent.push(bytes) })
  const serving = channel.serve(socket as unknown as Socket).catch((error: unknown) => error)
  for (const event of events) inbound.push(message(event))
  inbound.push(null)
  const failure = await serving
  return { sent: Buffer.concat(sent).toString('latin1'), failure, is: channel.isConfigured }
}

test('an agent that asks for the configuration gets it, once, before the app starts', async () => {
  const whole = '\0\0\0\x04\x43abc'
  const malformed: unknown = expect.objectContaining({ code: 'ERR_KEEPER_AGENT' })
  const expected = { sent: whole, failure: undefined, is: true }
  expect(await configured(configure, started, exited)).toEqual(expected)
  expect(await configured(configure, configure)).toEqual({ ...expected, failure: malformed })
  expect(await configured(started, configure)).toEqual({ sent: '', failure: malformed, is: false })
})

test('an agent that asks where there is no configuration is heard no more', async () => {
  const { heard, failure } = await serve(configure, started)
  expect(heard).toEqual([])
  expect(failure).toMatchObject({ code: 'ERR_KEEPER_AGENT' })
})

test('what time it is, the agent is told each time it asks, with its own number', async () => {
  const before = BigInt(Date.now())
  const time = (id: number) => ({ event: 'time', id }) as const
  const { sent } = await configured(started, time(0), time(0xffff_ffff), exited)
  const answers = Buffer.from(sent, 'latin1')
  const first = answers.subarray(4, 4 + answers.readUInt32BE())
  const [one, two] = [first, answers.subarray(8 + first.length)].map(
    (bytes) => cbor.decode(bytes) as Map<string, unknown>,
  )
  expect([one?.get('id'), two?.get('id')]).toEqual([0, 0xffff_ffff])
  for (const answer of [one, two]) {
    const ns = (answer?.get('ns') as bigint) / 1_000_000n
    expect([ns >= before, ns <= BigInt(Date.now())]).toEqual([true, true])
    expect([...(answer?.keys() ?? [])]).toEqual(['request', 'id', 'ns'])
  }
})

test('a second connection is closed, and what it says is not heard', async () => {
  const heard: AgentEvent[] = []
  const channel = new AgentChannel((event) => heard.push(event))
  const first = new PassThrough()
  const serving = channel.serve(first as unknown as Socket)
  const other = new PassThrough()
  other.end(message(exited))
  await channel.serve(other as unknown as Socket)
  expect(other.destroyed).toBe(true)
  expect(heard).toEqual([])
  first.end(message(started))
  await serving
  expect(heard).toEqual([started])
})

test('nothing is heard after the app has ended', async () => {
  const { heard } = await serve(started, exited, { event: 'exited', code: 9 })
  expect(heard).toEqual([started, exited])
})

test('an agent that is gone takes no signal', async () => {
  const channel = new AgentChannel(() => undefined)
  expect(channel.signal(15)).toBe(false)
  const stream = new PassThrough()
  const serving = channel.serve(stream as unknown as Socket).catch(() => undefined)
  expect(channel.signal(15)).toBe(true)
  stream.destroy()
  await serving
  expect(channel.signal(15)).toBe(false)
})

const bytesOf = (value: unknown): Uint8Array => cbor.encode(value)
const map = (fields: object): Uint8Array => bytesOf(new Map(Object.entries(fields)))

test.each([
  ['a list', bytesOf(['started'])],
  ['an unknown event', map({ event: 'rebooted' })],
  ['a status that is negative', map({ event: 'exited', code: -1 })],
  ['a status that is half', map({ event: 'exited', code: 0.5 })],
  ['a signal as text', map({ event: 'signaled', signal: 'KILL' })],
  ['a process as text', map({ event: 'started', pid: '7' })],
  ['a step as a number', map({ event: 'failed', step: 1, error: 'x' })],
  ['no error', map({ event: 'failed', step: 'x' })],
])('a message with %s is malformed', (_what, bytes) => {
  const error = expect.objectContaining({ code: 'ERR_KEEPER_AGENT' }) as Error
  expect(() => parseAgentEvent(bytes)).toThrow(error)
})

test('every event is read, and control characters of a guest are not', () => {
  expect(parseAgentEvent(map({ event: 'signaled', signal: 9 }))).toEqual({
    event: 'signaled',
    signal: 9,
  })
  expect(parseAgentEvent(map({ event: 'failed', step: 'a\u001b[2J', error: 'b\nc' }))).toEqual({
    event: 'failed',
    step: 'a?[2J',
    error: 'b?c',
  })
})
