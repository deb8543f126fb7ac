// The console: a page about the broker's keys, policies and decisions, on a loopback address. Every user of the host can
// read it; changes need the token. A page of another origin can do neither: the name of the host must be a loopback
// one (DNS rebinding), the origin the console's own (CSRF), and nothing in the page comes from elsewhere.

import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { check } from '../errors.ts'
import { readInputFile } from '../files/index.ts'
import { answerConsole, ConsoleError } from './console/answers.ts'
import { cannotListen } from './http/cannot-listen.ts'
import type { Place } from './operations/key-names.ts'
import { checkPrivate } from './private-file.ts'
import type { Store } from './store/store.ts'

export interface ConsoleOptions {
  /** 0 for any. */
  readonly port: number
  /** Only its owner may read it; without it, nothing can be changed. */
  readonly tokenFile?: string
}

interface ConsoleParts {
  readonly store: Store
  readonly place: Place
  /** SHA-256 of each root that the broker trusts. */
  readonly roots: readonly string[]
  readonly now: () => number
  readonly report: (fault: unknown) => void
}

const HOST = '127.0.0.1'
const MIN_TOKEN = 16
const LIMITS = { maxHeaderSize: 8192, headersTimeout: 10_000, requestTimeout: 10_000 } as const
const MAX_CONNECTIONS = 64
/** Also of a client that does not read. */
const SILENCE_MS = 60_000
const PAGE = new URL('../../src/kms/page/', import.meta.url)
const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html'],
  '/page.js': ['page.js', 'text/javascript'],
  '/page.css': ['page.css', 'text/css'],
}
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/** A console that answers. */
export class KmsConsole implements AsyncDisposable {
  readonly #server: Server
  readonly #parts: ConsoleParts
  readonly #token: Uint8Array | null

  private constructor(parts: ConsoleParts, token: Uint8Array | null) {
    this.#parts = parts
    this.#token = token
    this.#server = createServer(LIMITS, (request, response) => {
      this.#respond(request, response)
    })
    this.#server.maxConnections = MAX_CONNECTIONS
    this.#server.setTimeout(SILENCE_MS, (socket) => socket.destroy())
  }

  /** @throws ERR_KMS_LISTEN, ERR_KMS_CREDENTIALS for the token */
  static async listen(options: ConsoleOptions, parts: ConsoleParts): Promise<KmsConsole> {
    const { port, tokenFile } = options
    const made = new KmsConsole(parts, tokenFile === undefined ? null : readToken(tokenFile))
    try {
      made.#server.listen(port, HOST)
      await once(made.#server, 'listening')
    } catch (cause) {
      throw cannotListen('the console ', { host: HOST, port }, cause)
    }
    return made
  }

  /** E.g. `http://127.0.0.1:8471`. */
  get url(): string {
    return `http://${HOST}:${String((this.#server.address() as AddressInfo).port)}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    if (this.#server.listening) await once(this.#server, 'close')
  }

  #respond(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    try {
      const { pathname, searchParams } = this.#checked(request)
      const file = request.method === 'GET' ? FILES[pathname] : undefined
      if (file !== undefined) {
        const [name, type] = file
        send(response, { status: 200, type, body: readFileSync(new URL(name, PAGE)) })
        return
      }
      const canChange = this.#token !== null
      const asked = { method: request.method ?? '', path: pathname, query: searchParams }
      const isAllowed = this.#hasToken(request)
      sendJson(response, 200, answerConsole({ ...this.#parts, ...asked, canChange, isAllowed }))
    } catch (error) {
      this.#fail(response, error)
    }
  }

  #fail(response: ServerResponse, error: unknown): void {
    const isAnswer = error instanceof ConsoleError
    if (!isAnswer) this.#parts.report(error)
    const status = isAnswer ? error.status : 500
    const message = isAnswer ? error.message : 'the broker failed: see its standard error'
    sendJson(response, status, { message })
  }

  /** Who asks from where; the address, if that is allowed. */
  #checked({ headers, url = '', method }: IncomingMessage): URL {
    const port = new URL(this.url).port
    const names = [HOST, 'localhost'].map((name) => `${name}:${port}`)
    const host = headers.host ?? ''
    if (!names.includes(host)) throw new ConsoleError(421, 'this is not the name of the console')
    const isForeign = headers.origin !== undefined && headers.origin !== `http://${host}`
    const site = headers['sec-fetch-site'] ?? 'same-origin'
    if (isForeign || !['same-origin', 'none'].includes(site))
      throw new ConsoleError(403, 'a request of another origin')
    if (method !== 'GET' && method !== 'POST') throw new ConsoleError(405, 'GET or POST')
    if (!url.startsWith('/') || url.startsWith('//')) throw new ConsoleError(404, 'not found')
    return new URL(url, `http://${host}`)
  }

  #hasToken({ headers }: IncomingMessage): boolean {
    const [, given = ''] = /^Bearer (.{1,512})$/.exec(headers.authorization ?? '') ?? []
    return this.#token !== null && timingSafeEqual(digestOf(given), this.#token)
  }
}

function readToken(path: string): Uint8Array {
  const code = 'ERR_KMS_CREDENTIALS'
  const hint = `Write a random token of at least ${String(MIN_TOKEN)} characters to the file, and run \`chmod 600 ${path}\`.`
  const bytes = readInputFile(path, {
    ...{ code, maxBytes: 512 },
    inspect: (status) => checkPrivate(status, path, { code, hint }),
  })
  const token = bytes.toString('utf8').trim()
  check(token.length >= MIN_TOKEN, code, `the token in ${path} is too short`, { hint })
  return digestOf(token)
}

/** Of one length, whatever was given. */
function digestOf(token: string): Uint8Array {
  return createHash('sha256').update(token).digest()
}

function sendJson(response: ServerResponse, status: number, answer: object): void {
  send(response, { status, type: 'application/json', body: JSON.stringify(answer) })
}

function send(
  response: ServerResponse,
  { status, type, body }: { status: number; type: string; body: string | Uint8Array },
): void {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8` })
  response.end(body)
}
