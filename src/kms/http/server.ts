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
import { KmsError, UnservedError } from '../kms-error.ts'
import { readBody } from './body.ts'
import { cannotListen } from './cannot-listen.ts'
import { nonceOf, SIGNATURE_HEADER, signedText, type SignResponse } from './response-signature.ts'
import type { TlsIdentity } from './tls.ts'

/** A request whose body is there. */
export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  /** Of X-Amz-Target; empty when absent. */
  readonly target: string
  /** How `CiphertextForRecipient` is to be encrypted; undefined for AWS's way. */
  readonly recipientContent?: string | undefined
  readonly userAgent: string
  readonly sourceIp: string
  /** Whether it came by TLS. */
  readonly isSecure: boolean
  readonly requestId: string
  readonly body: Uint8Array
}

/** Answers one request; the JSON of the response, null for an empty body. */
export type Dispatch = (request: ReceivedRequest) => Promise<object | null>

/** Asks for CiphertextForRecipient in another form than AWS's. */
const CONTENT_HEADER = 'x-cloister-recipient-content'
const CONTENT_TYPE = 'application/x-amz-json-1.1'
const OPTIONS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
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
      throw cannotListen('', { host, port }, cause)
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

export interface Handlers {
  readonly dispatch: Dispatch
  /** Gets what went wrong in the broker itself. */
  readonly report: (fault: unknown) => void
  /** The clock that clients correct theirs by. */
  readonly now: () => number
  /** For requests that ask for a signed response. */
  readonly sign: SignResponse
  /** Whether the answer to a request that is not served is still signed: a signature costs more than the request. */
  readonly signsUnserved: () => boolean
}

/** What is sent: the JSON of the response, or nothing. */
interface Result {
  readonly status: number
  readonly text: string
  /** Whether the request was not served. */
  readonly isUnserved?: boolean
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: Handlers,
): Promise<void> {
  const head = { requestId: randomUUID(), date: new Date(handlers.now()).toUTCString() }
  response.setHeader('x-amzn-requestid', head.requestId)
  response.setHeader('date', head.date)
  try {
    const received = { ...headOf(request), ...head, body: await readBody(request) }
    const nonce = nonceOf(request.headers)
    const result = await resultOf(received, handlers)
    if (nonce !== undefined && (result.isUnserved !== true || handlers.signsUnserved()))
      response.setHeader(
        SIGNATURE_HEADER,
        await signature({ ...received, nonce }, result, handlers),
      )
    send(response, result)
  } catch (error) {
    if (response.destroyed) return
    if (!request.complete) response.setHeader('connection', 'close')
    send(response, refusal(error, handlers))
  }
}

async function resultOf(received: ReceivedRequest, handlers: Handlers): Promise<Result> {
  try {
    const answer = await handlers.dispatch(received)
    return { status: 200, text: answer === null ? '' : JSON.stringify(answer) }
  } catch (error) {
    return refusal(error, handlers)
  }
}

async function signature(
  request: ReceivedRequest & { readonly nonce: string; readonly date: string },
  { status, text }: Result,
  { sign }: Handlers,
): Promise<string> {
  const exchange = { ...request, requestBody: request.body, status, body: text }
  return Buffer.from(await sign(signedText(exchange))).toString('base64')
}

function refusal(error: unknown, { report }: Handlers): Result {
  const isAnswer = error instanceof KmsError
  if (!isAnswer) report(error)
  const { type, message, status } = isAnswer ? error : internal()
  const isUnserved = error instanceof UnservedError
  return { status, text: JSON.stringify({ __type: type, message }), isUnserved }
}

function send(response: ServerResponse, { status, text }: Result): void {
  response.writeHead(status, {
    'content-type': CONTENT_TYPE,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-cache, no-store, must-revalidate, private',
  })
  response.end(text)
}

/** What happened is the operator's to read: a client gets no text of it. */
function internal(): KmsError {
  return new KmsError('KMSInternalException', 'the broker failed: see its standard error', 500)
}

function headOf(request: IncomingMessage): Omit<ReceivedRequest, 'requestId' | 'body'> {
  const { method = '', url = '', rawHeaders, headers, socket } = request
  const [target, content] = [headers['x-amz-target'], headers[CONTENT_HEADER]]
  return {
    ...{ method, url, rawHeaders },
    target: typeof target === 'string' ? target : '',
    recipientContent: content === undefined ? undefined : String(content),
    userAgent: headers['user-agent'] ?? '',
    isSecure: socket instanceof TLSSocket,
    sourceIp: (socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
  }
}
