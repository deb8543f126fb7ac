import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CloisterError } from '../../src/errors.ts'
import { ConsoleLog } from '../../src/keeper/guest/console-log.ts'
import { askKeeper, askVsock, changePorts } from '../../src/enclaves/keeper-client.ts'
import { keeperSocketPath } from '../../src/enclaves/index.ts'
import { serveKeeperSocket } from '../../src/keeper/keeper-socket.ts'
import type { CardStatus } from '../../src/vsock/card-report.ts'
import type { PortLists } from '../../src/vsock/index.ts'
import { once } from '../fixtures/once.ts'

let directory: string
let server: Server
let serial: PassThrough
let graces: number[]
let asked: (readonly [string, PortLists])[]

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-control-'))
  serial = new PassThrough()
  graces = []
  asked = []
  const log = new ConsoleLog(serial)
  server = await serveKeeperSocket(directory, {
    terminate: (graceMs) => graces.push(graceMs),
    console: () => log,
    network: () => undefined,
    nsm: () => undefined,
    inspect: () => Promise.resolve({ timeline: [] }),
    vsock: () => ({
      report: (connections) => Promise.resolve({ ...status(), connections: Number(connections) }),
      openPorts: (ports) => {
        asked.push(['open', ports])
        const tooMany = new CloisterError('ERR_VSOCK_PORTS', 'x', { details: { ranges: 257 } })
        return ports.guestPorts === 'all' ? Promise.reject(tooMany) : Promise.resolve(status())
      },
      closePorts: (ports) => {
        asked.push(['close', ports])
        return Promise.resolve(status())
      },
    }),
  })
})

afterEach(() => {
  server.close()
  rmSync(directory, { recursive: true })
})

function status(): CardStatus {
  const counters = {} as CardStatus['counters']
  const limits = { connections: 1, connectionsPerSecond: 1, bufferBytes: 1 }
  const open = { parentPorts: '9000-9002', guestPorts: '7' }
  return { ...open, limits, connections: 0, bufferedBytes: 0, counters }
}

/** Sends a request as somebody who says no more, and returns what came back within 100 ms. */
async function ask(line: string): Promise<string> {
  const socket: Socket = createConnection(keeperSocketPath(directory))
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
  ['a line without an end', 'x'.repeat(20_000)],
  ['a report that may list or not', '{"command":"vsock"}\n'],
  ['ports of one side alone', '{"command":"open-ports","guestPorts":"1"}\n'],
  ['ports that are none', '{"command":"close-ports","guestPorts":"1-","parentPorts":"1"}\n'],
])('%s is refused', async (_name, line) => {
  expect(await ask(line)).toContain('"ok":false')
  expect(graces).toEqual([])
})

test('a termination carries its grace', async () => {
  expect(await ask('{"command":"terminate","graceMs":250}\n')).toContain('"ok":true')
  expect(graces).toEqual([250])
})

test('ports reach the card as they were written, and the answer says what is open', async () => {
  const ports = { parentPorts: '8000', guestPorts: '5005,7' }
  const opened = await changePorts(directory, { command: 'open-ports', ...ports })
  expect(opened).toMatchObject({ parentPorts: '9000-9002', guestPorts: '7' })
  await changePorts(directory, { command: 'close-ports', ...ports })
  expect(asked).toMatchObject([
    ['open', ports],
    ['close', ports],
  ])
})

test('a refusal keeps its code on the way to the caller', async () => {
  const ports = { parentPorts: 'none', guestPorts: 'all' }
  await expect(changePorts(directory, { command: 'open-ports', ...ports })).rejects.toMatchObject({
    code: 'ERR_VSOCK_PORTS',
    details: { ranges: 257 },
  })
  const bad = { parentPorts: '2-1', guestPorts: 'none' }
  await expect(changePorts(directory, { command: 'open-ports', ...bad })).rejects.toMatchObject({
    code: 'ERR_VSOCK_PORTS',
  })
})

test('whoever asks for the connections gets them', async () => {
  expect(await askVsock(directory, true)).toMatchObject({ connections: 1 })
  expect(await askVsock(directory, false)).toMatchObject({ connections: 0 })
})

test('what an enclave does not have yet, or never, is told by its code', async () => {
  const bare = mkdtempSync(join(tmpdir(), 'cloister-control-'))
  const starting = await serveKeeperSocket(bare, {
    terminate: () => undefined,
    console: () => undefined,
    vsock: () => undefined,
    network: () => undefined,
    nsm: () => undefined,
    inspect: () => undefined,
  })
  try {
    await expect(askKeeper(bare, { command: 'console' })).rejects.toMatchObject({
      code: 'ERR_KEEPER_NO_CONSOLE',
    })
    await expect(askVsock(bare, false)).rejects.toMatchObject({ code: 'ERR_KEEPER_CONTROL' })
  } finally {
    starting.close()
    rmSync(bare, { recursive: true })
  }
})

test('a keeper that hangs is not waited for', async () => {
  const hanging = mkdtempSync(join(tmpdir(), 'cloister-control-'))
  const silent = createServer(() => undefined)
  silent.listen(keeperSocketPath(hanging))
  await once(silent, 'listening')
  try {
    await expect(askVsock(hanging, false)).rejects.toMatchObject({ code: 'ERR_KEEPER_CONTROL' })
  } finally {
    silent.close()
    rmSync(hanging, { recursive: true })
  }
})
