// The gate as middleware. The types name only what is used of each framework, so that none of them
// is a dependency.

import type { Attestation } from '../attestation.ts'
import { DOCUMENT_HEADER, type AttestationGate, type Refusal } from './gate.ts'

/** What is used of `http.IncomingMessage`, also in Express. */
export interface NodeRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** What is used of `http.ServerResponse`, also in Express. */
export interface NodeResponse {
  readonly headersSent?: boolean
  writeHead(status: number, headers: Record<string, string>): unknown
  end(body: string): unknown
  destroy?(): unknown
}

/** A handler that is called only with a verified document. */
export type AttestedHandler<Request, Response> = (
  request: Request,
  response: Response,
  attestation: Attestation,
) => void | Promise<void>

/** How {@link attestedHandler} reports failures. */
export interface AttestedHandlerOptions {
  /** Called with what the handler or a callback of the verifier threw; `console.error` by default. */
  readonly onError?: (error: unknown) => void
}

/**
 * Wraps a handler of Node's `http.createServer`. When the handler throws, or a callback that the
 * verifier was given, the client gets status 500 without any detail and the server goes on; an answer
 * that has begun is cut off.
 */
export function attestedHandler<Request extends NodeRequest, Response extends NodeResponse>(
  gate: AttestationGate,
  handler: AttestedHandler<Request, Response>,
  { onError = printError }: AttestedHandlerOptions = {},
): (request: Request, response: Response) => Promise<void> {
  return async (request, response) => {
    try {
      const { attestation, refusal } = await gate.admit(documentOf(request))
      if (refusal) answer(response, refusal)
      else await handler(request, response, attestation)
    } catch (error) {
      fail(response)
      onError(error)
    }
  }
}

/** Express middleware: sets `request.attestation`, or answers and does not call `next`. */
export function attestedExpress(
  gate: AttestationGate,
): (
  request: NodeRequest & { attestation?: Attestation },
  response: NodeResponse,
  next: (error?: unknown) => void,
) => Promise<void> {
  return async (request, response, next) => {
    try {
      const { attestation, refusal } = await gate.admit(documentOf(request))
      if (refusal) {
        answer(response, refusal)
        return
      }
      request.attestation = attestation
    } catch (error) {
      next(error)
      return
    }
    next()
  }
}

/** What is used of Hono's context. */
export interface HonoContext {
  readonly req: { header(name: string): string | undefined }
  set(key: 'attestation', value: Attestation): void
}

/** Hono middleware: sets the variable `attestation`, or answers and does not call `next`. */
export function attestedHono(
  gate: AttestationGate,
): (context: HonoContext, next: () => Promise<void>) => Promise<Response | undefined> {
  return async (context, next) => {
    const { attestation, refusal } = await gate.admit(context.req.header(DOCUMENT_HEADER))
    if (refusal) {
      const { body, status, headers } = refusal
      return new Response(body, { status, headers: { ...headers } })
    }
    context.set('attestation', attestation)
    await next()
    return undefined
  }
}

function documentOf({ headers }: NodeRequest): string | undefined {
  const value = headers[DOCUMENT_HEADER]
  return typeof value === 'string' ? value : undefined
}

/** As servers do whose handlers fail; nothing may get lost without a word. */
function printError(error: unknown): void {
  // eslint-disable-next-line no-console -- the one place: the caller named no other
  console.error(error)
}

const FAILURE = {
  status: 500,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  body: '{"error":"internal"}',
}

/** Half an answer must not look like a whole one, so its connection is closed. */
function fail(response: NodeResponse): void {
  if (response.headersSent === true) response.destroy?.()
  else answer(response, FAILURE)
}

function answer(
  response: NodeResponse,
  { status, headers, body }: Pick<Refusal, 'headers' | 'body'> & { readonly status: number },
): void {
  response.writeHead(status, { ...headers })
  response.end(body)
}
