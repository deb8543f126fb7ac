// attestedHandler in front of a real HTTP server: what a caller's code throws ends one request only.

import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createVerifier, type VerifierOptions } from '@cloister/attestation'
import { attestedHandler, createGate } from '@cloister/attestation/http'
import { makeChain, makeDocument, NOW_MS, type Chain } from '../issuer/document.ts'

let chain: Chain
const servers: Server[] = []

beforeAll(async () => {
  chain = await makeChain()
})
afterAll(() => {
  for (const server of servers) server.close()
})

type Handle = (response: ServerResponse) => void | Promise<void>

/** A server for attested clients; what it was told of errors is in `errors`. */
async function serve(handle: Handle, options: Partial<VerifierOptions> = {}) {
  const errors: unknown[] = []
  const roots: VerifierOptions['roots'] = [chain.root.certificate]
  const gate = createGate(createVerifier({ roots, at: new Date(NOW_MS), ...options }))
  const handler = attestedHandler(gate, (_request, response: ServerResponse) => handle(response), {
    onError: (error) => errors.push(error),
  })
  const server = createServer((request, response) => void handler(request, response))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/`, errors }
}

/** Answers the server's challenge and sends a request with the document. */
async function attestedGet(url: string): Promise<Response> {
  const challenge = (await fetch(url)).headers.get('www-authenticate') ?? ''
  const nonce = Buffer.from(/nonce="(.+)"/.exec(challenge)?.[1] ?? '', 'base64url')
  const document = await makeDocument(chain, { nonce: new Uint8Array(nonce) })
  const headers = { 'attestation-document': Buffer.from(document).toString('base64') }
  return fetch(url, { headers })
}

describe('attestedHandler', () => {
  const failure = new Error('secret detail')
  const fail = () => {
    throw failure
  }
  const cases: readonly [claim: string, handle: Handle, options?: Partial<VerifierOptions>][] = [
    ['a handler that throws', fail],
    ['a handler that rejects', () => Promise.reject(failure)],
    [
      'a callback of the verifier that throws',
      (response) => void response.end(),
      { userData: fail },
    ],
  ]
  for (const [claim, handle, options] of cases) {
    test(`answers 500 without details to ${claim}, and goes on`, async () => {
      const { url, errors } = await serve(handle, options)
      for (let i = 1; i <= 2; i++) {
        const response = await attestedGet(url)
        expect([response.status, await response.text()]).toEqual([500, '{"error":"internal"}'])
        expect(errors).toEqual(Array.from({ length: i }, () => failure))
      }
    })
  }

  test('cuts off an answer that had begun, and goes on', async () => {
    let failing = true
    const { url } = await serve((response) => {
      response.write('half an ')
      if (failing) throw failure
      response.end('answer')
    })
    await expect(attestedGet(url).then((response) => response.text())).rejects.toThrow()
    failing = false
    expect(await (await attestedGet(url)).text()).toBe('half an answer')
  })
})
