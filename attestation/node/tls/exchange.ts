// One request of HTTP/1.1 over a connection that is there already, and its answer, which must be whole and
// of a known length (RFC 9112). The connection can be used for further requests afterwards.

import type { TLSSocket } from 'node:tls'
import { AttestationError } from '@cloister/attestation'

const MAX_HEAD_BYTES = 16_384
const MAX_BODY_BYTES = 65_536
const HEAD_END = '\r\n\r\n'

/**
 * Sends a GET request and returns the body of the answer.
 * @throws AttestationError ERR_TLS_ANSWER.
 */
export async function exchange(socket: TLSSocket, url: URL): Promise<Uint8Array> {
  const head = [`GET ${url.pathname}${url.search} HTTP/1.1`, `Host: ${url.host}`]
  socket.write(`${head.join('\r\n')}${HEAD_END}`)
  const received = await receive(socket)
  return new Uint8Array(received)
}

/** Reads until the answer is whole; nothing may follow it. */
function receive(socket: TLSSocket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    const settle = (end: () => void): void => {
      socket.off('data', take).off('error', reject).off('close', close)
      end()
    }
    const take = (part: Buffer): void => {
      bytes = Buffer.concat([bytes, part])
      try {
        const body = bodyOf(bytes)
        if (body) {
          settle(() => {
            resolve(body)
          })
        }
      } catch (error) {
        settle(() => {
          reject(error instanceof Error ? error : answerError('the answer is malformed'))
        })
      }
    }
    const close = (): void => {
      reject(answerError('the server closed the connection'))
    }
    socket.on('data', take).once('error', reject).once('close', close)
  })
}

/** The body, when all of it is there. */
function bodyOf(bytes: Buffer): Buffer | undefined {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd === -1) {
    if (bytes.length > MAX_HEAD_BYTES) throw answerError('the head of the answer is too long')
    return undefined
  }
  const length = bodyLength(bytes.toString('latin1', 0, headEnd))
  const body = bytes.subarray(headEnd + HEAD_END.length)
  if (body.length > length) throw answerError('the answer is longer than it says')
  return body.length === length ? body : undefined
}

function bodyLength(head: string): number {
  const [first = '', ...fields] = head.split('\r\n')
  const [, status = ''] = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first) ?? []
  if (status !== '200') {
    const message = `the server answered ${status || 'no HTTP/1.1'} to the question for its document`
    throw answerError(message, { status: Number(status) })
  }
  if (fields.some((field) => /^transfer-encoding:/i.test(field)))
    throw answerError('the answer does not say its length')
  const lengths = fields.flatMap(
    (field) => /^content-length:\s*(\d{1,8})\s*$/i.exec(field)?.[1] ?? [],
  )
  const [length = ''] = lengths
  if (lengths.length !== 1 || Number(length) > MAX_BODY_BYTES)
    throw answerError(`the answer has no length, or more than ${MAX_BODY_BYTES} bytes`)
  return Number(length)
}

function answerError(message: string, details: Record<string, number> = {}): AttestationError {
  return new AttestationError('ERR_TLS_ANSWER', message, { details })
}
