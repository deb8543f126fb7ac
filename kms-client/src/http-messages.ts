// Requests and responses of AWS's SDK as they are on the wire, and changes of requests before they are signed.

import type { KMSClient } from '@aws-sdk/client-kms'

export interface HttpRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}
export interface HttpResponse {
  readonly statusCode: number
  headers: Record<string, string>
  body?: AsyncIterable<Uint8Array> | Uint8Array
}

export type Fields = Readonly<Record<string, unknown>>

/** The JSON object in a body. */
export function fieldsOf(body: HttpRequest['body']): Fields {
  return JSON.parse(typeof body === 'string' ? body : new TextDecoder().decode(body)) as Fields
}

/** A copy with another body. */
export function withFields<T>(request: T, fields: Fields, headers: HttpRequest['headers'] = {}): T {
  const body = JSON.stringify(fields)
  const length = { 'content-length': String(Buffer.byteLength(body)) }
  return withHeaders(request, { ...length, ...headers }, { body })
}

/** A copy with more headers. The SDK's methods are kept. */
export function withHeaders<T>(request: T, headers: HttpRequest['headers'], more: object = {}): T {
  const before = (request as HttpRequest).headers
  const prototype = Object.getPrototypeOf(request) as object
  const changed = { ...more, headers: { ...before, ...headers } }
  return Object.assign(Object.create(prototype) as object, request, changed)
}

interface Sent {
  readonly request: unknown
}
interface Received {
  readonly response: unknown
  readonly output: unknown
}
type Send = (sent: Sent) => Promise<Received>
type Stack = Pick<KMSClient['middlewareStack'], 'addRelativeTo'>

/** Adds a step in front of the signature, which each attempt of a request gets anew. */
export function addBeforeSigning(
  stack: Stack,
  name: string,
  step: (next: Send, context: { readonly commandName?: string }) => Send,
): void {
  // The name in older versions of the SDK, which newer ones know as well.
  const place = { relation: 'before', toMiddleware: 'awsAuthMiddleware' } as const
  const middleware = step as unknown as Parameters<Stack['addRelativeTo']>[0]
  stack.addRelativeTo(middleware, { ...place, name, override: true })
}
