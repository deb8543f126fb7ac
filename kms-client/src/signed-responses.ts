// The part of the plugin that sees requests and responses as they are on the wire: it asks for signed responses, and
// lets the SDK read only what the pinned key has signed.

import type { KMSClient } from '@aws-sdk/client-kms'
import {
  addBeforeSigning,
  withHeaders,
  type HttpRequest,
  type HttpResponse,
} from './http-messages.ts'
import { readBody } from './read-body.ts'
import { newNonce, NONCE_HEADER, type ResponseKey } from './response-key.ts'

type Stack = KMSClient['middlewareStack']

/** Asks for AuthEnvelopedData in the response to a document. */
export const CONTENT_HEADERS = { 'x-cloister-recipient-content': 'AES_256_GCM' } as const

const SIGNED_HEADERS = new Set(['date', 'x-amzn-requestid'])

/** Adds it to a client's stack, or to a command's. */
export function requireSignedResponses(
  stack: Pick<Stack, 'add' | 'addRelativeTo'>,
  responseKey: ResponseKey,
): void {
  addBeforeSigning(
    stack,
    'askForSignature',
    (next) => (sent) =>
      next({ ...sent, request: withHeaders(sent.request, { [NONCE_HEADER]: newNonce() }) }),
  )
  stack.add(
    (next) => async (args) => {
      const request = args.request as HttpRequest
      const result = await next(args)
      const response = result.response as HttpResponse
      const body = await readBody(response.body, 'ERR_KMS_CLIENT_SIGNATURE')
      responseKey.check({
        ...{ asked: request.headers, requestBody: bytesOf(request.body) },
        ...{ status: response.statusCode, headers: response.headers, body },
      })
      response.body = body
      response.headers = signedOf(response.headers)
      return result
    },
    // Next to the wire: what the SDK reads is checked.
    { step: 'deserialize', priority: 'low', name: 'checkSignature', override: true },
  )
}

/** Those that the signature covers: of others the SDK would read the kind of an error, or when to ask again. */
function signedOf(headers: Record<string, string>): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => SIGNED_HEADERS.has(name.toLowerCase()))
  return { ...Object.fromEntries(kept), 'content-type': 'application/x-amz-json-1.1' }
}

function bytesOf(body: HttpRequest['body']): Uint8Array {
  return body instanceof Uint8Array ? body : Buffer.from(body ?? '')
}
