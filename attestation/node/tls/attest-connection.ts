// Asks over a TLS connection for a document of this very connection. Trust argument: the document's nonce
// holds what only the two ends of this connection can compute (RFC 9266: the TLS exporter), so the enclave
// that it was made in is the other end. Someone between the two, even with the server's key, has two
// connections with two exporters.

import { randomBytes } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { AttestationError, type Attestation, type Verifier } from '@cloister/attestation'
import { exchange } from './exchange.ts'
import { keyMismatch, peerPin } from './pinned-agent.ts'

const LABEL = 'EXPORTER-Channel-Binding'
const EXPORTER_BYTES = 32
const NONCE_BYTES = 32
/** Begins the nonce of a document that is bound to a connection; no other document's nonce does. */
const BOUND = Buffer.from('tls-exporter:')

/** Whom to ask, and what to accept. */
export interface ConnectionQuestion {
  readonly url: URL
  readonly attestationPath: string
  readonly verifier: Verifier
}

/**
 * Verifies the document of a connection whose handshake is done and over which nothing was sent.
 * @throws AttestationError of verification (ERR_NONCE_MISMATCH for another connection's document),
 * ERR_TLS_ANSWER, ERR_TLS_KEY_MISMATCH.
 */
export async function attestConnection(
  socket: TLSSocket,
  { url, attestationPath, verifier }: ConnectionQuestion,
): Promise<Attestation> {
  if (socket.getProtocol() !== 'TLSv1.3') {
    throw new AttestationError('ERR_TLS_ANSWER', 'a bound document needs TLS 1.3')
  }
  const exporter = socket.exportKeyingMaterial(EXPORTER_BYTES, LABEL, Buffer.alloc(0))
  const asked = randomBytes(NONCE_BYTES)
  const question = new URL(attestationPath, url)
  question.searchParams.set('nonce', asked.toString('hex'))
  question.searchParams.set('binding', 'tls-exporter')
  const document = await exchange(socket, question)
  const nonce = new Uint8Array(Buffer.concat([BOUND, exporter, asked]))
  const attestation = await verifier.verify(document, { nonce })
  const bound = attestation.userData && Buffer.from(attestation.userData).toString('hex')
  const actual = peerPin(socket)
  if (bound !== actual) throw keyMismatch(bound ?? 'no key', actual)
  return attestation
}
