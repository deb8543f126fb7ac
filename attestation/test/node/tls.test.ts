// attestedFetch against real TLS servers: only the key in the document is accepted.

import { createHash } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { createServer, Server } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createVerifier } from '@cloister/attestation'
import {
  createAttestedFetch,
  createPinnedAgent,
  type AttestedFetch,
  type AttestedFetchOptions,
} from '@cloister/attestation/tls'
import { makeChain, makeDocument, NOW_MS, type Chain } from '../issuer/document.ts'
import { makeKey, type TlsKey } from './tls-key.ts'

let chain: Chain
let keys: readonly TlsKey[]
const servers: TcpServer[] = []
const fetches: AttestedFetch[] = []

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS })
  chain = await makeChain()
  keys = [makeKey(), makeKey()]
})
afterAll(() => {
  vi.useRealTimers()
  for (const attestedFetch of fetches) attestedFetch.close()
  for (const server of servers) {
    if (server instanceof Server) server.closeAllConnections()
    server.close()
  }
})

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())

interface Shape {
  readonly tls: TlsKey
  /** What the document binds. */
  readonly fields: Readonly<Record<string, Uint8Array | null>>
  readonly from?: Chain
  readonly ignoreNonce?: boolean
}

/** Starts a server that answers the question for its document; returns its URL and its requests. */
async function serve(shape: Shape) {
  const requests: string[] = []
  let { tls, fields, from = chain, ignoreNonce = false } = shape
  const server = createServer({ key: tls.key, cert: tls.cert }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://enclave')
    requests.push(url.pathname)
    if (url.pathname !== '/.well-known/attestation') {
      response.writeHead(201, { 'x-app': 'yes' }).end(`hello ${request.method ?? ''}`)
      return
    }
    const asked = Buffer.from(url.searchParams.get('nonce') ?? '', 'hex')
    const nonce = ignoreNonce ? new Uint8Array(32) : new Uint8Array(asked)
    void makeDocument(from, { ...fields, nonce }).then((document) => response.end(document))
  })
  /** As a server that was started again, at an address that nobody else can take meanwhile. */
  const comeBack = (as: Shape): void => {
    server.closeAllConnections()
    ;({ tls, fields, from = chain, ignoreNonce = false } = as)
    server.setSecureContext({ key: tls.key, cert: tls.cert })
  }
  return { url: await listen(server), requests, server, comeBack }
}

/** How many connections a server has, once there are no more than expected or two seconds later. */
async function connectionsOf(server: TcpServer, expected: number): Promise<number> {
  for (let tries = 0; ; tries++) {
    const count = await new Promise<number>((resolve) => {
      server.getConnections((_error, connections) => {
        resolve(connections)
      })
    })
    if (count <= expected || tries === 100) return count
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** The URL of a server that now listens. */
async function listen(server: TcpServer): Promise<string> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return `https://127.0.0.1:${port}`
}

function client(options: Partial<AttestedFetchOptions> = {}): AttestedFetch {
  const verifier = createVerifier({ roots: [chain.root.certificate] })
  const attestedFetch = createAttestedFetch({ verifier, ...options })
  fetches.push(attestedFetch)
  return attestedFetch
}

const first = (): TlsKey => keys[0] ?? makeKey()
const second = (): TlsKey => keys[1] ?? makeKey()

describe('createAttestedFetch', () => {
  test('accepts a server whose key is public_key in its document', async () => {
    const { url } = await serve({
      tls: first(),
      fields: { public_key: new Uint8Array(first().spki) },
    })
    const response = await client()(`${url}/app`, { method: 'POST', body: 'x' })
    expect([response.status, await response.text()]).toEqual([201, 'hello POST'])
    expect(response.headers.get('x-app')).toBe('yes')
  })

  test('accepts a server whose key has its SHA-256 in user_data', async () => {
    const { url } = await serve({ tls: first(), fields: { user_data: sha256(first().spki) } })
    const attestedFetch = client()
    expect((await attestedFetch(`${url}/app`)).status).toBe(201)
    expect((await attestedFetch.attest(url)).verified).toBe(true)
  })

  test('refuses a server with another key, and sends it nothing of the application', async () => {
    const fields = { public_key: new Uint8Array(first().spki) }
    const { url, requests } = await serve({ tls: second(), fields })
    const request = client()(`${url}/app`, { method: 'POST', body: 'secret' })
    await expect(request).rejects.toMatchObject({ code: 'ERR_TLS_KEY_MISMATCH' })
    expect(requests).toEqual(['/.well-known/attestation'])
  })

  test('refuses a document that binds no key', async () => {
    const { url } = await serve({ tls: first(), fields: {} })
    await expect(client()(url)).rejects.toMatchObject({ code: 'ERR_TLS_KEY_MISMATCH' })
  })

  test('refuses a replayed document and one of another root', async () => {
    const fields = { public_key: new Uint8Array(first().spki) }
    const replay = await serve({ tls: first(), fields, ignoreNonce: true })
    await expect(client()(replay.url)).rejects.toMatchObject({ code: 'ERR_NONCE_MISMATCH' })
    const forged = await serve({ tls: first(), fields, from: await makeChain() })
    await expect(client()(forged.url)).rejects.toMatchObject({ code: 'ERR_CHAIN_SIGNATURE' })
  })

  test('refuses plain http with a TypeError', async () => {
    await expect(client()('http://127.0.0.1/')).rejects.toThrow(TypeError)
  })

  test('attests a server once while the attestation counts', async () => {
    const fields = { public_key: new Uint8Array(first().spki) }
    const { url, requests } = await serve({ tls: first(), fields })
    const attestedFetch = client()
    for (let i = 0; i < 3; i++) await (await attestedFetch(`${url}/app`)).text()
    expect(requests.filter((path) => path === '/.well-known/attestation')).toHaveLength(1)
  })

  test('attests a server once for many requests at the same time', async () => {
    const fields = { public_key: new Uint8Array(first().spki) }
    const { url, requests, server } = await serve({ tls: first(), fields })
    const attestedFetch = client()
    const responses = await Promise.all(
      Array.from({ length: 40 }, () => attestedFetch(`${url}/app`)),
    )
    expect(requests.filter((path) => path === '/.well-known/attestation')).toHaveLength(1)
    for (const response of responses) await response.text()
    attestedFetch.close()
    expect(await connectionsOf(server, 0)).toBe(0)
  })

  test('keeps no connection of attestations that failed', async () => {
    const fields = { public_key: new Uint8Array(first().spki) }
    const { url, server } = await serve({ tls: second(), fields })
    const attestedFetch = client()
    const failures = Array.from({ length: 40 }, () => attestedFetch(url).catch(() => 'failed'))
    expect(new Set(await Promise.all(failures))).toEqual(new Set(['failed']))
    expect(await connectionsOf(server, 0)).toBe(0)
  })

  test('keeps no connection of an attestation that was replaced', async () => {
    const fields = { public_key: new Uint8Array(first().spki) }
    const { url, server } = await serve({ tls: first(), fields })
    const attestedFetch = client({ maxAttestationAgeMs: 0 })
    for (let i = 0; i < 10; i++) await (await attestedFetch(`${url}/app`)).text()
    expect(await connectionsOf(server, 1)).toBe(1)
  })

  test('attests a server anew after it came back with another key', async () => {
    const attestedFetch = client()
    const before = await serve({ tls: first(), fields: { user_data: sha256(first().spki) } })
    const headers = { connection: 'close' }
    expect((await attestedFetch(`${before.url}/app`, { headers })).status).toBe(201)
    before.comeBack({ tls: second(), fields: { user_data: sha256(second().spki) } })
    const failing = attestedFetch(`${before.url}/app`)
    await expect(failing).rejects.toMatchObject({ code: 'ERR_TLS_KEY_MISMATCH' })
    expect((await attestedFetch(`${before.url}/app`)).status).toBe(201)
  })
})

describe('a server that keeps a client waiting', () => {
  const waiting: readonly [claim: string, listener: RequestListener][] = [
    ['that never answers', () => undefined],
    [
      'whose answer never ends',
      (_request, response) => {
        const drip = setInterval(() => response.write('.'), 20)
        response.once('close', () => {
          clearInterval(drip)
        })
      },
    ],
  ]
  const impatient = () => client({ attestationTimeoutMs: 200 })

  for (const [claim, listener] of waiting) {
    test(`${claim} is given up`, async () => {
      const { key, cert } = first()
      const url = await listen(createServer({ key, cert }, listener))
      await expect(impatient()(url)).rejects.toMatchObject({ code: 'ERR_TLS_ANSWER' })
    })
  }

  test('in the handshake is given up, also while bytes of a record keep coming', async () => {
    const sockets: Socket[] = []
    const server = createTcpServer((socket) => {
      sockets.push(socket.on('error', () => undefined))
      socket.write(Uint8Array.of(0x16, 3, 3, 0x40, 0))
      setInterval(() => socket.write(Uint8Array.of(0)), 20).unref()
    })
    const url = await listen(server)
    await expect(impatient()(url)).rejects.toMatchObject({ code: 'ERR_TLS_ANSWER' })
    for (const socket of sockets) socket.destroy()
  })
})

describe('createPinnedAgent', () => {
  test('sends nothing to another key', async () => {
    const { url, requests } = await serve({ tls: second(), fields: {} })
    const { get } = await import('node:https')
    const agent = createPinnedAgent(Buffer.from(sha256(first().spki)).toString('hex'))
    const failed = new Promise((resolve) => get(url, { agent }).once('error', resolve))
    expect(await failed).toMatchObject({ code: 'ERR_TLS_KEY_MISMATCH' })
    expect(requests).toEqual([])
  })
})
