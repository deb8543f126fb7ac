// The HTTP server: AWS JSON 1.1 on one address of this host, with TLS or without. It bounds what a client can take: size of
// head and body, time, connections. Everything else is the dispatcher's.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { isIP, type AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import { CloisterError, reasonOf } from '../../errors.ts'
import { KmsError } from '../kms-error.ts'
import { readBody } from './body.ts'
import type { TlsIdentity } from './tls.ts'

/** A request whose body is there. */
export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  /** Of X-Amz-Target; empty when absent. */
  readonly target: string
  readonly userAgent: string
  readonly sourceIp: string
  /** Whether it came by TLS. */
  readonly isSecure: boolean
  readonly requestId: string
  readonly body: Uint8Array
}

/** Answers one request; the JSON of the response, null for an empty body. */
export type Dispatch = (request: ReceivedRequest) => Promise<object | null>

const CONTENT_TYPE = 'application/x-amz-json-1.1'
const OPTIONS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
} as const
const TLS_OPTIONS = { minVersion: 'TLSv1.2', handshakeTimeout: 10_000 } as const
const MAX_CONNECTIONS = 512
/** Without a byte from or to the client, which may not read its answers: longer than an operation takes. */
const SILENCE_MS = 60_000

/** A listening HTTP server; disposing of it closes its connections. */
export class KmsServer implements AsyncDisposable {
  readonly #server: Server
  /** E.g. `http://127.0.0.1:8470`. */
  readonly endpoint: string

  private constructor(server: Server, { host, tls }: ListenOptions) {
    const { port } = server.address() as AddressInfo
    this.#server = server
    const authority = isIP(host) === 6 ? `[${host}]` : host
    this.endpoint = `${tls ? 'https' : 'http'}://${authority}:${String(port)}`
  }

  /** @throws ERR_KMS_LISTEN */
  static async listen(options: ListenOptions, handlers: Handlers): Promise<KmsServer> {
    const { host, port, tls } = options
    const listener: RequestListener = (request, response) => {
      void respond(request, response, handlers)
    }
    const server = tls
      ? createTlsServer({ ...OPTIONS, ...TLS_OPTIONS, ...tls }, listener)
      : createServer(OPTIONS, listener)
    server.maxConnections = MAX_CONNECTIONS
    server.setTimeout(options.silenceMs ?? SILENCE_MS, (socket) => socket.destroy())
    try {
      server.listen(port, host)
      await once(server, 'listening')
    } catch (cause) {
      const message = `cannot listen on ${host} port ${String(port)}: ${reasonOf(cause)}`
      throw new CloisterError('ERR_KMS_LISTEN', message, { cause, details: { host, port } })
    }
    return new KmsServer(server, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    if (this.#server.listening) await once(this.#server, 'close')
  }
}

interface ListenOptions {
  readonly host: string
  readonly port: number
  /** Null for plain HTTP. */
  readonly tls: TlsIdentity | null
  /** How long a connection may be silent; a minute unless it is given. */
  readonly silenceMs?: number
}

interface Handlers {
  readonly dispatch: Dispatch
  /** Gets what went wrong in the broker itself. */
  readonly report: (fault: unknown) => void
  /** The clock that clients correct theirs by. */
  readonly now: () => number
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { dispatch, report, now }: Handlers,
): Promise<void> {
  const requestId = randomUUID()
  response.setHeader('x-amzn-requestid', requestId)
  response.setHeader('date', new Date(now()).toUTCString())
  try {
    const answer = await dispatch({ ...headOf(request), requestId, body: await readBody(request) })
    send(response, 200, answer)
  } catch (error) {
    if (response.destroyed) return
    const isAnswer = error instanceof KmsError
    if (!isAnswer) report(error)
    const { type, message, status } = isAnswer ? error : internal()
    if (!request.complete) response.setHeader('connection', 'close')
    send(response, status, { __type: type, message })
  }
}

function send(response: ServerResponse, status: number, answer: object | null): void {
  const body = answer === null ? '' : JSON.stringify(answer)
  response.writeHead(status, {
    'content-type': CONTENT_TYPE,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-cache, no-store, must-revalidate, private',
  })
  response.end(body)
}

/** What happened is the operator's to read: a client gets no text of it. */
function internal(): KmsError {
  return new KmsError('KMSInternalException', 'the broker failed: see its standard error', 500)
}

function headOf(request: IncomingMessage): Omit<ReceivedRequest, 'requestId' | 'body'> {
  const { method = '', url = '', rawHeaders, headers, socket } = request
  const target = headers['x-amz-target']
  return {
    ...{ method, url, rawHeaders },
    target: typeof target === 'string' ? target : '',
    userAgent: headers['user-agent'] ?? '',
    isSecure: socket instanceof TLSSocket,
    sourceIp: (socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
  }
}
