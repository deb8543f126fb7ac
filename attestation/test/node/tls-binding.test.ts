// Documents that are bound to a connection, not only to a key: what a relay that has the key gains.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { Agent, createServer, request as httpsRequest, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import { buffer } from 'node:stream/consumers'
import type { IncomingMessage } from 'node:http'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createVerifier } from '@cloister/attestation'
import { createAttestedFetch, type AttestedFetch } from '@cloister/attestation/tls'
import { makeChain, makeDocument, NOW_MS, type Chain } from '../issuer/document.ts'
import { makeKey, type TlsKey } from './tls-key.ts'

const LABEL = 'EXPORTER-Channel-Binding'
const PATH = '/.well-known/attestation'

let chain: Chain
let key: TlsKey
const servers: Server[] = []
const fetches: AttestedFetch[] = []
const agent = new Agent({ rejectUnauthorized: false })

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS })
  chain = await makeChain()
  key = makeKey()
})
afterAll(() => {
  vi.useRealTimers()
  for (const attestedFetch of fetches) attestedFetch.close()
  for (const server of servers) server.closeAllConnections()
  for (const server of servers) server.close()
  agent.destroy()
})

async function listen(listener: RequestListener, options: object = {}): Promise<string> {
  const server = createServer({ key: key.key, cert: key.cert, ...options }, listener)
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Answers the question for its document as an enclave's attested TLS does, and counts connections. */
function enclave(ports: Set<number>): RequestListener {
  return (request, response) => {
    const { socket } = request
    if (!(socket instanceof TLSSocket)) throw new TypeError('not over TLS')
    ports.add(socket.remotePort ?? 0)
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://enclave')
    if (pathname !== PATH) {
      response.end('hello')
      return
    }
    const asked = Buffer.from(searchParams.get('nonce') ?? '', 'hex')
    const exporter = socket.exportKeyingMaterial(32, LABEL, Buffer.alloc(0))
    const isBound = searchParams.get('binding') === 'tls-exporter'
    const nonce = isBound ? Buffer.concat([Buffer.from('tls-exporter:'), exporter, asked]) : asked
    const user_data = new Uint8Array(createHash('sha256').update(key.spki).digest())
    const fields = { user_data, nonce: new Uint8Array(nonce) }
    void makeDocument(chain, fields).then((document) => {
      response.setHeader('content-length', document.length).end(document)
    })
  }
}

/** Has the server's key, and passes everything on to it. */
function relay(to: string): RequestListener {
  return (request, response) => {
    httpsRequest(new URL(request.url ?? '/', to), { agent }, (answer: IncomingMessage) => {
      void buffer(answer).then((body) => {
        response.setHeader('content-length', body.length).end(body)
      })
    }).end()
  }
}

function client(binding: 'key' | 'connection'): AttestedFetch {
  const verifier = createVerifier({ roots: [chain.root.certificate] })
  const attestedFetch = createAttestedFetch({ verifier, binding })
  fetches.push(attestedFetch)
  return attestedFetch
}

test('a relay that has the key passes when documents bind the key, and not when they bind the connection', async () => {
  const honest = await listen(enclave(new Set()))
  const relayed = await listen(relay(honest))
  expect(await (await client('key')(`${relayed}/app`)).text()).toBe('hello')
  expect(await (await client('connection')(`${honest}/app`)).text()).toBe('hello')
  const refused = client('connection')(`${relayed}/app`)
  await expect(refused).rejects.toMatchObject({ code: 'ERR_NONCE_MISMATCH' })
})

test('every connection is attested by itself, and kept for further requests', async () => {
  const ports = new Set<number>()
  const url = await listen(enclave(ports))
  const attestedFetch = client('connection')
  const answers = await Promise.all(Array.from({ length: 8 }, () => attestedFetch(`${url}/app`)))
  expect(await Promise.all(answers.map((it) => it.text()))).toEqual(Array(8).fill('hello'))
  // The first one learned whose server it is.
  expect(ports.size).toBe(9)
  for (let i = 0; i < 8; i++) await (await attestedFetch(`${url}/app`)).text()
  expect(ports.size).toBe(9)
  expect((await attestedFetch.attest(url)).verified).toBe(true)
})

test('TLS 1.2, and a server that knows no bound documents, are refused', async () => {
  const old = await listen(enclave(new Set()), { maxVersion: 'TLSv1.2' })
  await expect(client('connection')(old)).rejects.toMatchObject({ code: 'ERR_TLS_ANSWER' })
  const plain = await listen((_, response) => response.end('hello'))
  await expect(client('connection')(plain)).rejects.toMatchObject({ code: 'ERR_CBOR_TRUNCATED' })
})

test.each([
  ['no end', (length: number) => ({ 'content-length': length + 1 })],
  ['no length', () => ({ 'transfer-encoding': 'chunked' })],
  ['more bytes than are read', () => ({ 'content-length': 1_000_000 })],
])('an answer with %s is refused', async (_, headers) => {
  const fields: Record<string, number | string> = headers(5)
  const url = await listen((__, response) => {
    response.writeHead(200, fields).write('hello')
    if ('content-length' in fields) response.destroy()
    else response.end()
  })
  await expect(client('connection')(url)).rejects.toMatchObject({ code: 'ERR_TLS_ANSWER' })
})
