import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { createConnection, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ConsoleLog } from '../../src/keeper/console-log.ts'
import { controlSocketPath, serveControl } from '../../src/keeper/control-server.ts'

let directory: string
let server: Server
let serial: PassThrough
let graces: number[]

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-control-'))
  serial = new PassThrough()
  graces = []
  const log = new ConsoleLog(serial)
  server = await serveControl(directory, {
    terminate: (graceMs) => graces.push(graceMs),
    console: () => log,
  })
})

afterEach(() => {
  server.close()
  rmSync(directory, { recursive: true })
})

/** Sends a request as somebody who says no more, and returns what came back within 100 ms. */
async function ask(line: string): Promise<string> {
  const socket: Socket = createConnection(controlSocketPath(directory))
  await once(socket, 'connect')
  let answer = ''
  socket.on('data', (bytes: Buffer) => (answer += bytes.toString()))
  socket.end(line)
  for (let n = 0; n < 10; n++) {
    serial.write(`line ${String(n)}\n`)
    await sleep(10)
  }
  socket.destroy()
  return answer
}

test('a console reader that ends its side at once harms nobody', async () => {
  expect(await ask('{"command":"console"}\n')).toMatch(/^\{"ok":true\}\n/)
  expect(await ask('{"command":"console"}\n')).toMatch(/^\{"ok":true\}\n/)
})

test.each([
  ['no JSON', 'console\n'],
  ['an unknown command', '{"command":"reboot"}\n'],
  ['a termination without a grace', '{"command":"terminate"}\n'],
  ['a negative grace', '{"command":"terminate","graceMs":-1}\n'],
  ['a line without an end', 'x'.repeat(10_000)],
])('%s is refused', async (_name, line) => {
  expect(await ask(line)).toContain('"ok":false')
  expect(graces).toEqual([])
})

test('a termination carries its grace', async () => {
  expect(await ask('{"command":"terminate","graceMs":250}\n')).toContain('"ok":true')
  expect(graces).toEqual([250])
})
