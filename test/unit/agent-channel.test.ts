// The agent tells once that the app runs, and once how it ended.

import { PassThrough } from 'node:stream'
import type { Socket } from 'node:net'
import { Encoder } from 'cbor-x'
import { expect, test } from 'vitest'
import { AgentChannel, type AgentEvent } from '../../src/keeper/guest/agent-channel.ts'
import { encodeFrame } from '../../src/vsock/index.ts'

const cbor = new Encoder({ useRecords: false, mapsAsObjects: false, tagUint8Array: false })

function message(event: AgentEvent): Uint8Array {
  return encodeFrame(cbor.encode(new Map<string, unknown>(Object.entries(event))))
}

/** What is heard of an agent that says `events`, and how serving it ended. */
async function serve(...events: readonly AgentEvent[]) {
  const heard: AgentEvent[] = []
  const channel = new AgentChannel((event) => heard.push(event))
  const stream = new PassThrough()
  stream.end(Buffer.concat(events.map(message)))
  const failure = await channel.serve(stream as unknown as Socket).catch((error: unknown) => error)
  return { heard, failure }
}

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
