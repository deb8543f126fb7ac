// The body of a request, within a bound.

import type { IncomingMessage } from 'node:http'
import { KmsError } from '../kms-error.ts'

/** The largest request of AWS's model is a document of 262144 bytes in base64, and little else. */
const MAX_BODY_BYTES = 512 * 1024
/** Each piece costs memory and time, and in chunked coding a byte can be one. */
const MAX_PIECES = 2048

/**
 * The whole body, by events, which cost less than an iterator over them.
 * @throws KmsError RequestEntityTooLargeException, for too many pieces too; what the socket throws.
 */
export async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  return await new Promise((resolve, reject) => {
    request.on('error', reject)
    request.on('end', () => {
      resolve(Buffer.concat(chunks))
    })
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= MAX_BODY_BYTES && chunks.length < MAX_PIECES) {
        chunks.push(chunk)
        return
      }
      request.pause()
      reject(new KmsError('RequestEntityTooLargeException', 'the request is too large', 413))
    })
  })
}
