// Asks a server for its document and finds the key that it binds. Trust argument: the document answers
// our nonce and was signed for an enclave that we accept; it names a public key; the private key is
// in that enclave; so the other end of a handshake with that key is that enclave.

import { randomBytes } from 'node:crypto'
import { AttestationError, type Attestation } from '@cloister/attestation'
import { attestConnection, type ConnectionQuestion } from './attest-connection.ts'
import type { AttestedFetchOptions } from './fetch-options.ts'
import {
  createCheckedAgent,
  createObservingAgent,
  createPinnedAgent,
  keyMismatch,
  spkiPinOf,
  tryConnection,
  type SpkiPin,
} from './pinned-agent.ts'
import { send } from './request.ts'
import type { AttestedServer } from './server-pool.ts'

const DEFAULT_PATH = '/.well-known/attestation'
const DEFAULT_MAX_AGE_MS = 300_000
const DEFAULT_TIMEOUT_MS = 30_000
const NONCE_BYTES = 32
const MAX_ANSWER_BYTES = 65536

/**
 * Attests the server of a URL.
 * @throws AttestationError of verification, ERR_TLS_ANSWER, ERR_TLS_KEY_MISMATCH; what the network throws.
 */
export async function attestServer(
  url: URL,
  options: AttestedFetchOptions,
): Promise<AttestedServer> {
  const { verifier, attestationPath = DEFAULT_PATH, maxAttestationAgeMs } = options
  const timeoutMs = options.attestationTimeoutMs ?? DEFAULT_TIMEOUT_MS
  if (options.binding === 'connection') {
    const question = { url, attestationPath, verifier }
    return attestEachConnection(question, { timeoutMs, maxAttestationAgeMs })
  }
  const nonce = randomBytes(NONCE_BYTES)
  const question = new URL(attestationPath, url)
  question.searchParams.set('nonce', nonce.toString('hex'))
  const { document, observed } = await ask(question, timeoutMs)
  const attestation = await verifier.verify(document, { nonce: new Uint8Array(nonce) })
  const agent = createPinnedAgent(boundPin(attestation, observed))
  return { attestation, agent, untilMs: untilMs(attestation, maxAttestationAgeMs) }
}

function untilMs({ validUntilMs }: Attestation, maxAgeMs = DEFAULT_MAX_AGE_MS): number {
  return Math.min(Date.now() + maxAgeMs, validUntilMs)
}

/** One connection is made at once, to learn whose server it is, and closed; all others are checked as it was. */
async function attestEachConnection(
  question: ConnectionQuestion,
  limits: { readonly timeoutMs: number; readonly maxAttestationAgeMs: number | undefined },
): Promise<AttestedServer> {
  let attestation: Attestation | undefined
  const agent = createCheckedAgent(async (socket) => {
    attestation = await attestConnection(socket, question)
  }, limits.timeoutMs)
  await tryConnection(agent, question.url)
  if (!attestation) throw new AttestationError('ERR_TLS_ANSWER', 'no connection was made')
  return { attestation, agent, untilMs: untilMs(attestation, limits.maxAttestationAgeMs) }
}

interface Answer {
  readonly document: Uint8Array
  /** The key at the other end of the connection it came over. */
  readonly observed: SpkiPin
}

/** Nobody knows who is at the other end yet, so it must not be able to keep us waiting. */
async function ask(question: URL, timeoutMs: number): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs)
  let observed: SpkiPin = ''
  const agent = createObservingAgent((pin) => {
    observed = pin
  }, timeoutMs)
  try {
    const response = await send(question, { signal }, agent)
    return { document: await readDocument(response, question), observed }
  } catch (cause) {
    if (cause instanceof AttestationError || !signal.aborted) throw cause
    throw new AttestationError('ERR_TLS_ANSWER', `no answer in ${timeoutMs} ms`, { cause })
  } finally {
    agent.destroy()
  }
}

async function readDocument(response: Response, { pathname }: URL): Promise<Uint8Array> {
  const { status } = response
  if (status === 200) return readBounded(response)
  const message = `the server answered ${status} to ${pathname}`
  throw new AttestationError('ERR_TLS_ANSWER', message, { details: { status } })
}

async function readBounded(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  const body: AsyncIterable<Uint8Array> | undefined = response.body ?? undefined
  for await (const part of body ?? []) {
    length += part.length
    if (length > MAX_ANSWER_BYTES) {
      throw new AttestationError('ERR_TLS_ANSWER', `the answer exceeds ${MAX_ANSWER_BYTES} bytes`)
    }
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}

/** The key that the document binds; the observed key must be that one. */
function boundPin({ publicKey, userData }: Attestation, observed: SpkiPin): SpkiPin {
  const byKey = publicKey && spkiPinOf(publicKey)
  const byData = userData && Buffer.from(userData).toString('hex')
  if (observed !== byKey && observed !== byData) {
    throw keyMismatch(byKey ?? byData ?? 'no key', observed)
  }
  return observed
}
