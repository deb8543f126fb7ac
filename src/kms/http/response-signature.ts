// Signed responses, for clients that do not trust the way to the broker. A request asks for one with a nonce; the
// signature (ES384) covers the nonce, the request and the response, so that neither can be exchanged.

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { invalid } from '../kms-error.ts'

/** 32 bytes in hexadecimal, which the client chooses anew for each request. */
export const NONCE_HEADER = 'x-cloister-response-nonce'
/** `r || s`, 96 bytes, in base64. */
export const SIGNATURE_HEADER = 'x-cloister-response-signature'

const FORM = 'CLOISTER-KMS-RESPONSE-V1'
const NONCE = /^[0-9a-f]{64}$/

/** Signs with ES384. */
export type SignResponse = (text: Uint8Array) => Promise<Uint8Array>

/** What a signature covers. */
export interface SignedExchange {
  readonly nonce: string
  /** Of X-Amz-Target. */
  readonly target: string
  readonly requestBody: Uint8Array
  readonly status: number
  /** The values of Date and x-amzn-requestid. */
  readonly date: string
  readonly requestId: string
  readonly body: string
}

/**
 * The nonce of a request; undefined when it asks for no signature. The operation must be in a header: one in the query
 * string, as of a presigned request, would not be signed.
 * @throws KmsError ValidationException
 */
export function nonceOf(headers: IncomingHttpHeaders): string | undefined {
  const nonce = headers[NONCE_HEADER]
  if (nonce === undefined) return undefined
  if (headers['x-amz-target'] === undefined)
    throw invalid(`${NONCE_HEADER} needs the operation in the header X-Amz-Target`)
  if (typeof nonce === 'string' && NONCE.test(nonce)) return nonce
  throw invalid(`${NONCE_HEADER} does not consist of 64 lower-case hexadecimal digits`)
}

/** The bytes that are signed: eight lines, each of which ends with a line feed. */
export function signedText(exchange: SignedExchange): Buffer {
  const { nonce, target, requestBody, status, date, requestId, body } = exchange
  const request = [nonce, target, sha384(requestBody)]
  const response = [String(status), date, requestId, sha384(body)]
  return Buffer.from([FORM, ...request, ...response].map((line) => `${line}\n`).join(''))
}

function sha384(data: Uint8Array | string): string {
  return createHash('sha384').update(data).digest('hex')
}
