// Events are read off records and journals, in the order of their time, once each, and not lost when
// nobody listens.

import { appendFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  endNow,
  journalPath,
  readEvents,
  Registry,
  writeRecord,
  type EnclaveEvent,
  type RunningRecord,
} from '../../src/enclaves/index.ts'
import { Journal } from '../../src/keeper/journal.ts'
import { describeNetworkRefusal } from '../../src/network/index.ts'
import { runningRecord, startingRecord } from '../fixtures/enclave-record.ts'
import { callCloister } from '../fixtures/in-process-cli.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

let runtime: TemporaryDirectory
let registry: Registry

beforeEach(async () => {
  runtime = await temporaryDirectory()
  registry = new Registry(runtime.join('r'))
})

afterEach(async () => {
  await runtime[Symbol.asyncDispose]()
})

function starting(id: string, name = 'app'): RunningRecord {
  const { description, createdAt } = registry.claim(startingRecord(id, name))
  // Not later: what comes next may come in the same millisecond.
  return { ...runningRecord(id, name), description, createdAt, startedAt: createdAt }
}

const running = (id: string, name?: string): RunningRecord => {
  const record = starting(id, name)
  writeRecord(registry.directory(id), record)
  return record
}

async function all(sinceMs = 0): Promise<readonly EnclaveEvent[]> {
  const events: EnclaveEvent[] = []
  for await (const event of readEvents(registry, { sinceMs })) events.push(event)
  return events
}

test('what happened is told in the order of time, with the journals', async () => {
  const record = running('i-1')
  const journal = new Journal(registry.directory('i-1'))
  journal.write('a part said:\ntwo lines\u001b[2J')
  running('i-2', 'other')
  const cause = { first: 'app', reason: 'the app exited with status 7', exitCode: 7 } as const
  const end = { ...endNow(record, cause), at: new Date(Date.now() + 10).toISOString() }
  registry.finish(record, end)
  const events = await all()
  const times = events.map(({ time }) => Date.parse(time))
  expect(times).toEqual(times.toSorted((a, b) => a - b))
  const ofFirst = events.filter(({ enclaveId }) => enclaveId === 'i-1')
  expect(ofFirst.map(({ event }) => event).toSorted()).toEqual([
    ...['ended', 'note', 'running', 'starting'],
  ])
  expect(ofFirst).toContainEqual(
    expect.objectContaining({ event: 'note', text: 'a part said:\ntwo lines?[2J' }),
  )
  expect(events.at(-1)).toMatchObject({ event: 'ended', enclaveName: 'app', end: { exitCode: 7 } })
  expect(await all(Date.parse(end.at) + 1)).toEqual([])
})

test('what the rules of a network deny is an event with the destination and the rule that would allow it', async () => {
  running('i-1')
  const journal = new Journal(registry.directory('i-1'))
  const flow = {
    destination: '[2001:db8::1]:443/udp',
    by: 'host',
    why: 'no rule allows it',
    wouldAllow: "{ cidr: '2001:db8::1/128', ports: [443], protocol: udp }",
  } as const
  const name = { destination: 'bad.example', by: 'image', why: 'denied by deny[0]' } as const
  for (const refusal of [flow, name]) journal.writeOfGuest(describeNetworkRefusal(refusal))
  journal.write('a part said: the guest asked for a:1/tcp, which egress of the image denies: x')
  const [first, second, third] = (await all()).filter(({ event }) => event !== 'starting').slice(1)
  expect(first).toMatchObject({ event: 'refused', protocol: 'udp', ...flow })
  expect(second).toMatchObject({ event: 'refused', protocol: 'dns', ...name })
  expect(second).not.toHaveProperty('wouldAllow')
  expect(third).toMatchObject({ event: 'note' })
})

test('what happens is followed, each event once, until its reader goes', async () => {
  const record = starting('i-1')
  const ending = new AbortController()
  const heard: EnclaveEvent[] = []
  const kinds = (): readonly string[] => heard.map(({ event }) => event)
  const following = (async () => {
    for await (const event of readEvents(registry, { follow: true, signal: ending.signal }))
      heard.push(event)
  })()
  await expect.poll(kinds).toEqual(['starting'])
  writeRecord(registry.directory('i-1'), record)
  await expect.poll(kinds).toEqual(['starting', 'running'])
  writeRecord(registry.directory('i-1'), { ...record, state: 'TERMINATING' })
  // A line counts when it is whole.
  appendFileSync(journalPath(registry.directory('i-1')), '2026-01-01T00:00:00.000Z half')
  await expect.poll(kinds).toEqual(['starting', 'running', 'terminating'])
  appendFileSync(journalPath(registry.directory('i-1')), ' and ä half\nnot a line of ours\n')
  await expect.poll(kinds).toEqual(['starting', 'running', 'terminating', 'note'])
  registry.finish(record, endNow(record, { first: 'request', reason: 'terminated on request' }))
  await expect.poll(kinds).toEqual(['starting', 'running', 'terminating', 'note', 'ended'])
  registry.remove(record)
  await expect.poll(kinds).toHaveLength(6)
  ending.abort()
  await following
  expect(heard.at(-1)).toMatchObject({ event: 'removed', enclaveId: 'i-1' })
  expect(heard[3]).toMatchObject({ text: 'half and ä half' })
})

test('a keeper that was killed has an end too', async () => {
  const dead = { pid: process.pid, startTime: 1 }
  const record = starting('i-1')
  writeRecord(registry.directory('i-1'), { ...record, keeper: dead })
  expect((await all()).at(-1)).toMatchObject({ event: 'ended', end: { first: 'keeper' } })
})

test('the command prints one JSON object a line, of one enclave where that is wanted', async () => {
  running('i-1')
  running('i-2', 'other')
  const env = { CLOISTER_RUNTIME_DIR: runtime.join('r'), CLOISTER_STATE_DIR: runtime.join('s') }
  const lines = async (...args: readonly string[]): Promise<readonly EnclaveEvent[]> => {
    const { status, stdout } = await callCloister(['events', ...args], env)
    expect(status).toBe(0)
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as EnclaveEvent)
  }
  expect(await lines()).toHaveLength(4)
  const one = await lines('--enclave-name', 'other')
  expect(one.map(({ event, enclaveId }) => [event, enclaveId])).toEqual([
    ['starting', 'i-2'],
    ['running', 'i-2'],
  ])
  expect(await lines('--enclave-id', 'i-3')).toEqual([])
  expect(await lines('--since', '2100-01-01T00:00:00Z')).toEqual([])
})
