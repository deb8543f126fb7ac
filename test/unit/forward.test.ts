// Forwardings between this host and an enclave that needs no machine: the guest's end is the test's.
// strangers.test.ts has them with a real guest.

import { randomBytes } from 'node:crypto'
import type { ChildProcess } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { expectHeldUp } from '../fixtures/back-pressure.ts'
import { ECHO_PORT, EchoEnclave } from '../fixtures/echo-enclave.ts'
import { once } from '../fixtures/once.ts'
import { TestHost } from '../host.ts'

let host: TestHost
let enclave: EchoEnclave
let target: Server
const atTarget: Socket[] = []
let forward: ChildProcess
let ports: readonly number[]
const log: string[] = []

beforeAll(async () => {
  host = new TestHost()
  enclave = await EchoEnclave.start(host.runtime)
  target = createServer({ allowHalfOpen: true }, (socket) => {
    atTarget.push(socket.on('error', () => socket.destroy()))
    socket.pipe(socket)
  })
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  const { port } = target.address() as { readonly port: number }
  await startForward(
    ...['-L', `0:${String(ECHO_PORT)}`, '-L', '0:1', '-L', `${unixPath()}:${String(ECHO_PORT)}`],
    ...['-R', `8000:${String(port)}`, '-R', '8001:localhost:1'],
  )
  ports = log.flatMap((line) => /127\.0\.0\.1:(\d+) to port/.exec(line)?.[1] ?? []).map(Number)
})

afterAll(async () => {
  target.close()
  await enclave[Symbol.asyncDispose]()
  host.discard()
})

/** Starts it, and waits until everything listens. */
async function startForward(...forwardings: readonly string[]): Promise<void> {
  log.length = 0
  forward = host.spawn('forward', '--enclave-name', 'echo', ...forwardings)
  createInterface({ input: forward.stderr ?? process.stdin }).on('line', (line) => log.push(line))
  await vi.waitFor(() => {
    expect(log).toHaveLength(forwardings.length / 2)
  }, 30_000)
}

const unixPath = (): string => join(host.directory, 'sock')
const parentPath = (port: number): string => join(enclave.vsock, `vsock.sock_${String(port)}`)
const toGuest = (): Socket => connect({ port: ports[0] ?? 0, allowHalfOpen: true })
const toClosed = (): Socket => connect({ port: ports[1] ?? 0 })
const fromGuest = (port: number): Socket => connect({ path: parentPath(port), allowHalfOpen: true })

/** Sends everything, half-closes, and returns what comes back. */
async function exchange(socket: Socket, bytes: Uint8Array | string): Promise<Buffer> {
  const back = buffer(socket)
  socket.end(bytes)
  return back
}

/** Resolves when the other end closes or resets the connection. */
async function untilEnd(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const event of ['end', 'error', 'close']) socket.once(event, resolve)
    socket.resume()
  })
  socket.destroy()
}

test.each([
  ['TCP to the guest', toGuest],
  ['a unix socket to the guest', () => connect({ path: unixPath(), allowHalfOpen: true })],
  ['a port of the parent to TCP', () => fromGuest(8000)],
])('%s: every byte there and back, past a half-close, 50 at once', async (_, dial) => {
  const sent = randomBytes(300_000)
  const streams = Array.from({ length: 50 }, () => exchange(dial(), sent))
  for (const back of await Promise.all(streams)) expect(back.equals(sent)).toBe(true)
})

test.each([
  ['a port that the guest refuses', toClosed, /: ERR_VSOCK_CONNECT: cannot connect to port 1 /],
  ['a host that refuses', () => fromGuest(8001), /: ERR_VSOCK_FORWARD_TARGET: .*localhost:1/],
])('%s ends the connection, says why once, and the others go on', async (_, dial, reason) => {
  for (let n = 0; n < 3; n++) await untilEnd(dial())
  expect((await exchange(toGuest(), 'x')).toString()).toBe('x')
  await expect.poll(() => log.filter((line) => reason.test(line))).toHaveLength(1)
})

test('a reader that does not read holds up the writer', async () => {
  await expectHeldUp(toGuest())
})

test('a reset on one side ends the other, whichever was first', async () => {
  const caller = fromGuest(8000)
  caller.write('x')
  await once(caller, 'data')
  const reached = atTarget.at(-1)
  reached?.resetAndDestroy()
  await untilEnd(caller)

  const again = fromGuest(8000)
  again.write('x')
  await once(again, 'data')
  const ended = untilEnd(atTarget.at(-1) ?? again)
  again.destroy()
  await ended
})

test('at most 256 connections at a time, and further ones are closed', async () => {
  const held = Array.from({ length: 256 }, toGuest)
  for (const socket of held) socket.write('x')
  await Promise.all(held.map((socket) => once(socket, 'data')))
  await untilEnd(toGuest())
  await expect.poll(() => log.join('\n')).toContain('has 256 connections')
  const closed = held.map((socket) => once(socket.resume(), 'close'))
  for (const socket of held) socket.end()
  await Promise.all(closed)
  expect((await exchange(toGuest(), 'x')).toString()).toBe('x')
})

test('its unix sockets are open to whom they are for, and gone when it ends', async () => {
  expect(statSync(unixPath()).mode & 0o777).toBe(0o600)
  expect(statSync(parentPath(8000)).mode & 0o777).toBe(0o666) // the card is a user of its own
  forward.kill('SIGTERM')
  await once(forward, 'close')
  for (const path of [unixPath(), parentPath(8000)]) expect(existsSync(path), path).toBe(false)
})

test('a socket that a killed one left is replaced; one that is in use is not', async () => {
  await startForward('-R', '8000:1', '-L', `${unixPath()}:1`)
  const clash = ['forward', '--enclave-name', 'echo']
  const own = String((target.address() as { readonly port: number }).port)
  for (const [option, forwarding, why] of [
    ['-R', '8000:2', 'another program listens there'],
    ['-L', `${unixPath()}:2`, 'another program listens there'],
    ['-L', `${own}:2`, `process ${String(process.pid)} (`],
  ] as const) {
    const { status, stderr } = await host.run(...clash, option, forwarding)
    const [message = ''] = stderr.split('\n')
    expect({ status, message }).toMatchObject({
      status: 11,
      message: expect.stringContaining('ERR_VSOCK_LISTEN: ') as string,
    })
    expect(message).toContain(why)
  }
  forward.kill('SIGKILL')
  await once(forward, 'close')
  expect(existsSync(unixPath())).toBe(true)
  await startForward('-R', '8000:1', '-L', `${unixPath()}:${String(ECHO_PORT)}`)
  expect((await exchange(connect({ path: unixPath(), allowHalfOpen: true }), 'x')).toString()).toBe(
    'x',
  )
})

test.each([
  [['-L', 'x'], 'ERR_VSOCK_FORWARD'],
  [['-R', '8000'], 'ERR_VSOCK_FORWARD'],
  [['-R', '8000:0'], 'ERR_VSOCK_FORWARD'],
  [['-R', '9002:80'], 'ERR_VSOCK_FORWARD'],
  [['-L', '8080:4294967295'], 'ERR_VSOCK_FORWARD'],
  [['-L', '70000:5005'], 'ERR_VSOCK_FORWARD'],
  [[], 'ERR_CLI_ARGUMENT'],
  [Array.from({ length: 33 }, () => '-L0:1'), 'ERR_CLI_ARGUMENT'],
  [['-L', '0:5005', '--enclave-name', 'nobody'], 'ERR_KEEPER_NO_SUCH_NAME'],
  [['-L', '192.0.2.1:8080:5005'], 'ERR_VSOCK_LISTEN'],
  [['-L', '/no/such/directory/sock:5005'], 'ERR_VSOCK_LISTEN'],
  [['-L', `/${'x'.repeat(107)}:5005`], 'ERR_VSOCK_PATH'],
])('refuses %j', async (options, code) => {
  const named = options.includes('--enclave-name') ? [] : ['--enclave-name', 'echo']
  const { status, stderr } = await host.run('forward', ...named, ...options)
  expect(status).not.toBe(0)
  expect(stderr).toContain(`${code}: `)
})

test('it ends when the enclave does, with success, and what was sent arrives first', async () => {
  const sent = randomBytes(100_000)
  const socket = connect({ path: unixPath(), allowHalfOpen: true })
  socket.write(sent)
  await expect.poll(() => socket.readableLength).toBeGreaterThan(0)
  const [, code] = await Promise.all([
    enclave[Symbol.asyncDispose](),
    once(forward, 'close').then(([status]: unknown[]) => status),
    buffer(socket),
  ])
  expect(code).toBe(0)
  expect(log.at(-1)).toBe('The enclave echo has ended.')
  expect(existsSync(unixPath())).toBe(false)
  enclave = await EchoEnclave.start(host.runtime)
})
