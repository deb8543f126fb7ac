// The body of a request, within a bound.

import type { IncomingMessage } from 'node:http'
import { KmsError } from '../kms-error.ts'

/** The largest request of AWS's model is a document of 262144 bytes in base64, and little else. */
const MAX_BODY_BYTES = 512 * 1024

/** @throws KmsError RequestEntityTooLargeException; what the socket throws. */
export async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES)
      throw new KmsError('RequestEntityTooLargeException', 'the request is too large', 413)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
