// One HTTPS request through an agent, as a Response of the Fetch API.

import type { Agent } from 'node:https'
import { request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'

/** What can be sent; a body is text or bytes, not a stream. */
export interface AttestedRequestInit {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly signal?: AbortSignal
}

const BODILESS_STATUS = [204, 205, 304]

/** Sends a request; redirects are returned, not followed. */
export async function send(url: URL, init: AttestedRequestInit, agent: Agent): Promise<Response> {
  const { method = 'GET', headers = {}, body, signal } = init
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(url, { method, headers, agent, ...(signal ? { signal } : {}) })
    sent.once('response', resolve)
    sent.once('error', reject)
    sent.end(body)
  })
  return responseOf(message)
}

function responseOf(message: IncomingMessage): Response {
  const status = message.statusCode ?? 0
  const headers = Object.entries(message.headersDistinct).flatMap(([name, values = []]) =>
    values.map((value): [string, string] => [name, value]),
  )
  const init = { status, statusText: message.statusMessage ?? '', headers }
  if (BODILESS_STATUS.includes(status)) {
    message.resume()
    return new Response(null, init)
  }
  return new Response(Readable.toWeb(message) as ReadableStream<Uint8Array>, init)
}
