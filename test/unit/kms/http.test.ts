// The broker's HTTP: AWS's form of an error, and clients that are not clients.

import { createConnection } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KmsServer } from '../../../src/kms/http/server.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { once } from '../../fixtures/once.ts'

let broker: RunningBroker

beforeAll(async () => {
  broker = await RunningBroker.start()
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})

const TARGET = { 'x-amz-target': 'TrentService.ListKeys' }

async function post(path: string, init: RequestInit): Promise<readonly [number, string]> {
  const response = await fetch(`${broker.endpoint}${path}`, { method: 'POST', ...init })
  expect(response.headers.get('x-amzn-requestid')).toMatch(/^[0-9a-f-]{36}$/)
  expect(response.headers.get('content-type')).toBe('application/x-amz-json-1.1')
  const { __type: type, message, ...rest } = (await response.json()) as Record<string, string>
  expect(rest).toEqual({})
  expect(message).not.toBe('')
  return [response.status, type ?? '']
}

/** All that comes back for these bytes, until the broker closes. */
function raw(...bytes: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(broker.endpoint)
  return new Promise((done, failed) => {
    let answer = ''
    const socket = createConnection({ host: hostname, port: Number(port) })
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
    socket.on('close', () => done(answer))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? undefined : failed(error),
    )
    for (const piece of bytes) socket.write(piece)
  })
}

describe('a client gets AWS’s form of an error', () => {
  test.each([
    [
      'a request without a signature',
      '/',
      { headers: TARGET, body: '{}' },
      400,
      'MissingAuthenticationTokenException',
    ],
    [
      'an unknown service',
      '/',
      { headers: { 'x-amz-target': 'DynamoDB.Get' }, body: '{}' },
      400,
      'UnknownOperationException',
    ],
    ['no target', '/', { body: '{}' }, 400, 'UnknownOperationException'],
    ['another path', '/keys', { headers: TARGET, body: '{}' }, 400, 'UnknownOperationException'],
    [
      'another method',
      '/',
      { method: 'PUT', headers: TARGET, body: '{}' },
      400,
      'UnknownOperationException',
    ],
    [
      'a body above the bound',
      '/',
      { headers: TARGET, body: 'x'.repeat(600_000) },
      413,
      'RequestEntityTooLargeException',
    ],
  ] as const)('for %s', async (_what, path, init, status, type) => {
    expect(await post(path, init)).toEqual([status, type])
  })
})

describe('a client that is none', () => {
  test('is cut off, and others are served', async () => {
    const head = 'POST / HTTP/1.1\r\nHost: a\r\n'
    expect(await raw('noise\r\n\r\n')).toContain('400 Bad Request')
    expect(await raw(head, `X: ${'y'.repeat(20_000)}\r\n\r\n`)).toContain('431 ')
    expect(await raw(head, 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n')).toContain(
      '400 ',
    )
    const endless = raw(
      head,
      'Transfer-Encoding: chunked\r\n\r\n',
      ...Array<string>(40).fill(`4000\r\n${'x'.repeat(0x4000)}\r\n`),
    )
    expect(await endless).toContain('413 ')
    const crumbs = raw(head, 'Transfer-Encoding: chunked\r\n\r\n', '1\r\nx\r\n'.repeat(10_000))
    expect(await crumbs).toContain('413 ')
    expect(await post('/', { headers: TARGET, body: '{}' })).toEqual([
      400,
      'MissingAuthenticationTokenException',
    ])
  })
})

test('a client that does not read its answer is disconnected', async () => {
  const length = 40_000_000
  const handlers = {
    dispatch: () => Promise.resolve({ text: 'x'.repeat(length) }),
    ...{ report: () => undefined, now: Date.now, sign: () => Promise.resolve(new Uint8Array()) },
    signsUnserved: () => false,
  }
  const options = { host: '127.0.0.1', port: 0, tls: null, silenceMs: 200 }
  await using server = await KmsServer.listen(options, handlers)
  const { hostname: host, port } = new URL(server.endpoint)
  const socket = createConnection({ host, port: Number(port) })
  socket.on('error', () => socket.destroy())
  socket.pause()
  socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n')
  await wait(3000)
  let received = 0
  socket.on('data', (chunk) => (received += chunk.length))
  socket.resume().setTimeout(5000, () => socket.destroy())
  await once(socket, 'close')
  expect(received).toBeGreaterThan(0)
  expect(received).toBeLessThan(length)
})
