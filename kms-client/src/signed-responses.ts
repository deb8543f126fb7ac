// The part of the plugin that sees requests and responses as they are on the wire: it asks for signed responses, and
// lets the SDK read only what the pinned key has signed.

import type { KMSClient } from '@aws-sdk/client-kms'
import { KmsClientError } from './errors.ts'
import { newNonce, NONCE_HEADER, type ResponseKey } from './response-key.ts'

type Stack = KMSClient['middlewareStack']

/** Where the first part of the plugin says that it has added a document. */
export const ATTESTED = 'cloisterAttested'
/** Far above any answer of KMS. */
const MAX_BODY_BYTES = 1024 * 1024

const SIGNED_HEADERS = new Set(['date', 'x-amzn-requestid'])

interface HttpRequest {
  readonly headers: Record<string, string>
  readonly body?: string | Uint8Array
}
interface HttpResponse {
  readonly statusCode: number
  headers: Record<string, string>
  body?: AsyncIterable<Uint8Array> | Uint8Array
}

/** Adds it to a client's stack, or to a command's. */
export function requireSignedResponses(stack: Pick<Stack, 'add'>, responseKey: ResponseKey): void {
  stack.add(
    (next, context) => (args) => {
      const { headers } = args.request as HttpRequest
      headers[NONCE_HEADER] = newNonce()
      if ((context as Record<string, unknown>)[ATTESTED] === true)
        headers['x-cloister-recipient-content'] = 'AES_256_GCM'
      return next(args)
    },
    // Before the request is signed.
    { step: 'build', name: 'askForSignature', override: true },
  )
  stack.add(
    (next) => async (args) => {
      const request = args.request as HttpRequest
      const result = await next(args)
      const response = result.response as HttpResponse
      const body = await readBody(response.body)
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

async function readBody(body: HttpResponse['body']): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body instanceof Uint8Array ? [body] : (body ?? [])) {
    size += chunk.length
    if (size > MAX_BODY_BYTES)
      throw new KmsClientError('ERR_KMS_CLIENT_SIGNATURE', 'the response is too large')
    chunks.push(chunk)
  }
  return Uint8Array.from(Buffer.concat(chunks))
}
