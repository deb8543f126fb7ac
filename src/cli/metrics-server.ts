// Metrics over HTTP, on a unix socket or a loopback port, in OpenMetrics 1.0 or Prometheus' text format
// 0.0.4, whichever the reader asks for. Whoever may connect is not trusted: few connections, short
// requests, little time, and one collection for all who ask within a second.

import { lstatSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { CloisterError, messageOf, reasonOf, type CloisterErrorOptions } from '../errors.ts'
import { portFault } from '../subprocess/index.ts'
import { printProgress } from './print.ts'
import { exposition, openMetrics, type Metric } from './prometheus.ts'

const MAX_CONNECTIONS = 16
const TIMEOUT_MS = 5000
const MAX_HEADER_BYTES = 8192
/** How long a collection is good for. */
const FRESH_MS = 1000
const OPEN_METRICS = 'application/openmetrics-text'

/** Where to listen: a path, or an address of this host alone and a port. */
export type MetricsPlace =
  { readonly path: string } | { readonly host: '127.0.0.1' | '::1'; readonly port: number }

/**
 * `/run/metrics.sock`, `127.0.0.1:9464`, `localhost:9464` or `[::1]:9464`.
 *
 * @throws `ERR_CLI_ARGUMENT` for anything else, other addresses too: the metrics name every enclave.
 */
export function parsePlace(text: string): MetricsPlace {
  if (text.startsWith('/')) return { path: text }
  const [, address, digits] = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (address === undefined || port > 0xffff)
    throw new CloisterError('ERR_CLI_ARGUMENT', `--listen ${text} is not a place to listen at`, {
      hint: 'Give an absolute path for a unix socket, or 127.0.0.1:PORT or [::1]:PORT.',
    })
  return { host: address === '[::1]' ? '::1' : '127.0.0.1', port }
}

/**
 * Serves `GET /metrics` until the process ends, which is told; a unix socket is for its owner alone (mode
 * 600).
 *
 * @throws `ERR_METRICS_LISTEN`
 */
export async function serveMetrics(
  place: MetricsPlace,
  collect: () => Promise<readonly Metric[]>,
): Promise<void> {
  const server = await listen(place, collect)
  if ('path' in place)
    process.once('exit', () => {
      rmSync(place.path, { force: true })
    })
  const address = server.address()
  const where = typeof address === 'string' ? address : `port ${String(address?.port)}`
  printProgress(`Metrics are served at ${where}.`)
}

async function listen(
  place: MetricsPlace,
  collect: () => Promise<readonly Metric[]>,
): Promise<Server> {
  const collection = new Collection(collect)
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: TIMEOUT_MS,
    requestTimeout: TIMEOUT_MS,
    keepAliveTimeout: TIMEOUT_MS,
    connectionsCheckingInterval: 1000,
  }
  const server = createServer(options, (request, response) => {
    void answer(request, response, collection)
  })
  server.maxConnections = MAX_CONNECTIONS
  // Also of a reader that does not read.
  server.setTimeout(2 * TIMEOUT_MS, (socket) => socket.destroy())
  try {
    if ('path' in place) await removeAbandoned(place.path)
    // The socket is made by this call, with this mask.
    const mask = process.umask(0o177)
    server.listen(place)
    process.umask(mask)
    await once(server, 'listening')
  } catch (cause) {
    throw cause instanceof CloisterError ? cause : notServed(place, cause)
  }
  return server
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  collection: Collection,
): Promise<void> {
  request.resume()
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD', connection: 'close' }).end()
    return
  }
  if (request.url?.split('?')[0] !== '/metrics') {
    response.writeHead(404, { connection: 'close' }).end('see /metrics\n')
    return
  }
  try {
    const metrics = await collection.current()
    const isOpen = request.headers.accept?.includes(OPEN_METRICS) ?? false
    const type = isOpen ? `${OPEN_METRICS}; version=1.0.0` : 'text/plain; version=0.0.4'
    const text = isOpen ? openMetrics(metrics) : exposition(metrics)
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(text)
  } catch (error) {
    response.writeHead(500, { connection: 'close' }).end(`${messageOf(error)}\n`)
  }
}

/** Metrics that are at most a second old, collected once for everybody who asks meanwhile. */
class Collection {
  readonly #collect: () => Promise<readonly Metric[]>
  #current: Promise<readonly Metric[]> | undefined
  #collectedAt = 0

  constructor(collect: () => Promise<readonly Metric[]>) {
    this.#collect = collect
  }

  current(): Promise<readonly Metric[]> {
    if (this.#current !== undefined && performance.now() - this.#collectedAt < FRESH_MS)
      return this.#current
    this.#collectedAt = Infinity
    this.#current = this.#collect().finally(() => {
      this.#collectedAt = performance.now()
    })
    return this.#current
  }
}

/** A socket that nobody serves any more is in the way; whatever else is there stays. */
async function removeAbandoned(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) throw unavailable({ path }, 'something else is there')
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error
    rmSync(path)
    return
  } finally {
    socket.destroy()
  }
  throw unavailable({ path }, 'somebody serves it already')
}

function notServed(place: MetricsPlace, cause: unknown): CloisterError {
  if ('path' in place) return unavailable(place, reasonOf(cause), { cause })
  const { host: address, port } = place
  const { reason, hint } = portFault(cause, { address, port, protocol: 'tcp' })
  return unavailable(place, reason, { cause, ...(hint === undefined ? {} : { hint }) })
}

function unavailable(
  place: MetricsPlace,
  reason: string,
  options: CloisterErrorOptions = {},
): CloisterError {
  const where = 'path' in place ? place.path : `${place.host}, port ${String(place.port)}`
  const message = `cannot serve metrics at ${where}: ${reason}`
  return new CloisterError('ERR_METRICS_LISTEN', message, options)
}
