// QEMU is not trusted once its guest runs: nothing it says over QMP harms the keeper.

import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { QmpClient } from '../../src/vmm/qmp.ts'

/** More than any test takes. */
const PATIENCE_MS = 60_000
const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n'

/** The client's end of a connection whose other end says `words`, one for each line it gets. */
function connection(...words: readonly string[]): Duplex {
  const rest = [...words]
  return new Duplex({
    read() {
      if (words.length === rest.length) this.push(rest.shift())
    },
    write(_line, _encoding, done) {
      const word = rest.shift()
      if (word !== undefined) this.push(word)
      done()
    },
  })
}

test('a command is answered by its return, whatever events come between', async () => {
  const event = '{"event": "SHUTDOWN"}\n'
  const client = await QmpClient.open(
    connection(GREETING, '{"return": {}}\n', `${event}{"return": {"status": "running"}}\n`),
    PATIENCE_MS,
  )
  expect(await client.execute('query-status')).toEqual({ status: 'running' })
})

test('a refused command is an error', async () => {
  const refusal = '{"error": {"class": "CommandNotFound", "desc": "no"}}\n'
  const client = await QmpClient.open(
    connection(GREETING, '{"return": {}}\n', refusal),
    PATIENCE_MS,
  )
  await expect(client.execute('nonsense')).rejects.toMatchObject({ code: 'ERR_VMM_CONTROL' })
})

test.each([
  ['no JSON', 'garbage\n'],
  ['null', 'null\n'],
  ['a line without end', 'x'.repeat(70_000)],
])('%s ends the connection', async (_, words) => {
  const stream = connection(GREETING, '{"return": {}}\n', words)
  const client = await QmpClient.open(stream, PATIENCE_MS)
  await expect(client.execute('query-status')).rejects.toMatchObject({ code: 'ERR_VMM_CONTROL' })
  expect(stream.destroyed).toBe(true)
})

test('why QEMU ended is what its last SHUTDOWN event says', async () => {
  const events = ['guest-reset', 'host-signal'].map(
    (reason) => `{"event": "SHUTDOWN", "data": {"guest": false, "reason": "${reason}"}}\n`,
  )
  const stream = connection(GREETING, '{"return": {}}\n', `${events.join('')}{"return": {}}\n`)
  const client = await QmpClient.open(stream, PATIENCE_MS)
  expect(client.shutdownReason).toBeUndefined()
  await client.execute('query-status')
  stream.destroy()
  await client.closed
  expect(client.shutdownReason).toBe('host-signal')
})

test.each(['"\\u001b[31m"', '7', 'null', '{}'])('a reason that is %s is none', async (reason) => {
  const event = `{"event": "SHUTDOWN", "data": {"reason": ${reason}}}\n`
  const stream = connection(GREETING, '{"return": {}}\n', `${event}{"return": {}}\n`)
  const client = await QmpClient.open(stream, PATIENCE_MS)
  await client.execute('query-status')
  expect(client.shutdownReason).toBeUndefined()
})
