// Nonces of Cloister's broker (CreateNonce): a document with one counts once. The request for one goes through the
// client's own stack, which signs it as the request that it is for.

import type { KMSClient } from '@aws-sdk/client-kms'
import { KmsClientError } from './errors.ts'
import { fieldsOf, type Fields, type HttpRequest, type HttpResponse } from './http-messages.ts'
import { readBody } from './read-body.ts'

/** What makes a request one for a nonce. */
export const NONCE_REQUEST = { 'x-amz-target': 'CloisterService.CreateNonce' } as const
/** The NSM's limit. */
const MAX_NONCE_BYTES = 512

/** Keeps the bodies of responses to such requests: the SDK reads only the fields of its own operation. */
export function readNonces(stack: Pick<KMSClient['middlewareStack'], 'add'>): void {
  stack.add(
    (next) => async (args) => {
      const result = await next(args)
      const { headers } = args.request as HttpRequest
      if (headers['x-amz-target'] === NONCE_REQUEST['x-amz-target']) {
        const response = result.response as HttpResponse
        response.body = await readBody(response.body, 'ERR_KMS_CLIENT_DOCUMENT')
      }
      return result
    },
    { step: 'deserialize', priority: 'low', name: 'readNonces', override: true },
  )
}

/**
 * The nonce in such a response.
 * @throws KmsClientError ERR_KMS_CLIENT_DOCUMENT
 */
export function nonceOf({ response }: { readonly response: unknown }): Uint8Array {
  const { body } = response as HttpResponse
  const text = (body instanceof Uint8Array ? parsed(body) : {})['Nonce']
  const nonce = Uint8Array.from(Buffer.from(typeof text === 'string' ? text : '', 'base64'))
  if (nonce.length > 0 && nonce.length <= MAX_NONCE_BYTES) return nonce
  const message = 'the response to CreateNonce has no nonce: AWS KMS does not issue any'
  throw new KmsClientError('ERR_KMS_CLIENT_DOCUMENT', message)
}

function parsed(body: Uint8Array): Fields {
  try {
    return fieldsOf(body)
  } catch {
    return {}
  }
}
