// Asks the example app for an attestation document: one JSON line each way on vsock port 5005.

import { connectWhenListening } from '../enclaves/index.ts'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { CloisterError } from '../errors.ts'

/** Where the example app listens. */
export const HELLO_PORT = 5005
const START_TIMEOUT_MS = 10_000
const ANSWER_MS = 60_000

/**
 * @param nonce - Goes into the document, 1 to 1024 bytes.
 * @throws `ERR_VSOCK_CONNECT`, `ERR_DEMO_APP` when the app answers with an error.
 */
export async function requestDocument(vsockSocket: string, nonce: Uint8Array): Promise<Uint8Array> {
  const socket = await connectWhenListening(vsockSocket, HELLO_PORT, START_TIMEOUT_MS)
  try {
    const request = { nonce: base64(nonce), userData: null, publicKey: null }
    socket.write(`${JSON.stringify(request)}\n`)
    const [line] = (await once(createInterface({ input: socket }), 'line', {
      signal: AbortSignal.timeout(ANSWER_MS),
    })) as [string]
    const reply = JSON.parse(line) as { readonly document?: string; readonly error?: string }
    if (reply.document !== undefined) return Buffer.from(reply.document, 'base64')
    throw new CloisterError('ERR_DEMO_APP', `the app answered: ${String(reply.error)}`)
  } finally {
    socket.destroy()
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
