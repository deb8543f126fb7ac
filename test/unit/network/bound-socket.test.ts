// Sockets for published ports that cannot be bound: the error says in words what is in the way, and what to do.

import { createSocket } from 'node:dgram'
import { once } from '../../fixtures/once.ts'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { CloisterError } from '../../../src/errors.ts'
import { bindSocket, type Publication } from '../../../src/network/index.ts'
import { portFault } from '../../../src/subprocess/index.ts'

function refusal(publication: Omit<Publication, 'guestPort'>): CloisterError {
  try {
    void bindSocket({ ...publication, guestPort: 80 })[Symbol.asyncDispose]()
  } catch (error) {
    if (error instanceof CloisterError) return error
  }
  throw new Error('it was bound')
}

/** The kind of thing that no message may contain. */
const ERRNO = /\bE[A-Z]{4,}\b/

test.each(['127.0.0.1', '0.0.0.0', '::1', '::'])(
  'a port of TCP that is taken at %s names the process that uses it',
  async (address) => {
    await using server = createServer().listen(0, address)
    await once(server, 'listening')
    const { port } = server.address() as { readonly port: number }
    const { code, message, hint } = refusal({ address, port, protocol: 'tcp' })
    expect(code).toBe('ERR_NETWORK_LISTEN')
    expect(message).toContain(`: process ${String(process.pid)} (`)
    expect(message).not.toMatch(ERRNO)
    expect(hint).toContain('End that program')
  },
)

test('so does a port that another program has at every address, and one of UDP', async () => {
  await using server = createServer().listen(0, '0.0.0.0')
  await once(server, 'listening')
  const { port } = server.address() as { readonly port: number }
  const of = String(process.pid)
  const tcp = refusal({ address: '127.0.0.1', port, protocol: 'tcp' })
  expect(tcp.message).toContain(`process ${of} (`)
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const udp = refusal({ address: '127.0.0.1', port: socket.address().port, protocol: 'udp' })
  expect(udp.message).toContain(`process ${of} (`)
  socket.close()
})

test('an address of another host is named', () => {
  const { code, message, hint } = refusal({ address: '192.0.2.1', port: 0, protocol: 'tcp' })
  expect(code).toBe('ERR_NETWORK_LISTEN')
  expect(message).toContain('192.0.2.1 is not an address of this host')
  expect(message).not.toMatch(ERRNO)
  expect(hint).toContain('ip address')
})

test.each(['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'])(
  '%s is put into words, with what to do',
  (code) => {
    const place = { address: 'localhost', port: 1, protocol: 'tcp' } as const
    const { reason, hint } = portFault(Object.assign(new Error(code), { code }), place)
    expect(reason).not.toMatch(ERRNO)
    expect(hint).toMatch(/^(Choose|End) /)
  },
)
