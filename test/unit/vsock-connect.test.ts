import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkSocketPath, connectGuest } from '../../src/vsock/index.ts'
import { once } from '../fixtures/once.ts'

let directory: string
let path: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-vsock-'))
  path = join(directory, 'vsock.sock')
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

/** A vsock card that treats its connections as `behave` says. */
async function device(behave: (socket: Socket) => void): Promise<AsyncDisposable> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () => {
      behave(socket)
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return server
}

test('bytes that follow the reply at once belong to the stream', async () => {
  await using _device = await device((socket) => socket.end('OK 1073741824\nhello'))
  const socket = await connectGuest(path, 5005)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  expect(Buffer.concat(chunks).toString()).toBe('hello')
})

test('a reply that comes byte by byte is understood', async () => {
  await using _device = await device((socket) => {
    socket.setNoDelay()
    const bytes = [...Buffer.from('OK 7\nx')]
    const next = (): void => {
      const byte = bytes.shift()
      if (byte === undefined) socket.end()
      else socket.write(Uint8Array.of(byte), () => setImmediate(next))
    }
    next()
  })
  const socket = await connectGuest(path, 7)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  expect(Buffer.concat(chunks).toString()).toBe('x')
})

test.each([
  ['closes', (socket: Socket): void => void socket.destroy()],
  ['answers something else', (socket: Socket): void => void socket.write('NO\n')],
  ['never ends its line', (socket: Socket): void => void socket.write('x'.repeat(1000))],
  ['says nothing', (): void => undefined],
])('a device that %s is a coded error', async (_name, behave) => {
  await using _device = await device(behave)
  await expect(connectGuest(path, 5005, { timeoutMs: 200 })).rejects.toMatchObject({
    code: 'ERR_VSOCK_CONNECT',
    details: { port: 5005 },
  })
})

test('an enclave that is gone is a coded error', async () => {
  await expect(connectGuest(path, 5005)).rejects.toMatchObject({ code: 'ERR_VSOCK_CONNECT' })
})

test('a path too long for a unix socket is refused with its length', () => {
  expect(() => {
    checkSocketPath(`/${'x'.repeat(107)}`)
  }).toThrow(expect.objectContaining({ code: 'ERR_VSOCK_PATH' }) as Error)
  expect(() => {
    checkSocketPath(`/${'x'.repeat(106)}`)
  }).not.toThrow()
})
