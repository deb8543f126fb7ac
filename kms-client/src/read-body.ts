// The body of a response, within a bound.

import { KmsClientError, type KmsClientErrorCode } from './errors.ts'
import type { HttpResponse } from './http-messages.ts'

/** Far above any answer of KMS. */
const MAX_BODY_BYTES = 1024 * 1024

/** @throws KmsClientError of this code if it is larger than any response of KMS */
export async function readBody(
  body: HttpResponse['body'],
  code: KmsClientErrorCode,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body instanceof Uint8Array ? [body] : (body ?? [])) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new KmsClientError(code, 'the response is too large')
    chunks.push(chunk)
  }
  return Uint8Array.from(Buffer.concat(chunks))
}
