// A fetch that talks only to a server whose TLS key is bound in a verified document. Trust argument:
// the document answers our nonce and was signed for an enclave that we accept; it names a public
// key; the private key is in that enclave; so whoever completes a handshake with it is that enclave.

import { randomBytes } from 'node:crypto'
import type { Agent } from 'node:https'
import { AttestationError, type Attestation, type Verifier } from '@cloister/attestation'
import { createObservingAgent, createPinnedAgent, keyMismatch } from './pinned-agent.ts'
import { spkiPinOf, type SpkiPin } from './pinned-agent.ts'
import { send, type AttestedRequestInit } from './request.ts'

/** How servers are attested. */
export interface AttestedFetchOptions {
  /** Verifies the documents: roots, measurements and all. */
  readonly verifier: Verifier
  /** Where a server answers `?nonce=<hex>` with its document; `/.well-known/attestation`. */
  readonly attestationPath?: string
  /** How long an attestation counts before it is asked for again; 5 minutes by default. */
  readonly maxAttestationAgeMs?: number
  /** How long a server may take to answer for itself; 30 seconds by default. */
  readonly attestationTimeoutMs?: number
}

/** Like `fetch`, for `https:` URLs of attested servers. */
export interface AttestedFetch {
  (url: string | URL, init?: AttestedRequestInit): Promise<Response>
  /** The verified document of a server, asked for when there is none that still counts. */
  attest(url: string | URL): Promise<Attestation>
  /** Closes idle connections. */
  close(): void
}

interface AttestedServer {
  readonly attestation: Attestation
  readonly agent: Agent
  readonly untilMs: number
}

const DEFAULT_PATH = '/.well-known/attestation'
const DEFAULT_MAX_AGE_MS = 300_000
const DEFAULT_TIMEOUT_MS = 30_000
const NONCE_BYTES = 32
const MAX_ANSWER_BYTES = 65536
const MAX_SERVERS = 256

/**
 * Makes a fetch. A server's document must bind its TLS key: `public_key` is the DER
 * SubjectPublicKeyInfo, or `user_data` is its SHA-256.
 */
export function createAttestedFetch(options: AttestedFetchOptions): AttestedFetch {
  const servers = new Map<string, Promise<AttestedServer>>()

  const serverOf = async (url: URL): Promise<AttestedServer> => {
    if (url.protocol !== 'https:') throw new TypeError('attested servers are reached by https:')
    const known = await servers.get(url.origin)?.catch(() => undefined)
    if (known && Date.now() < known.untilMs) return known
    return attestOnce(servers, url, options)
  }

  const attestedFetch = async (url: string | URL, init: AttestedRequestInit = {}) => {
    const target = new URL(url)
    const { agent } = await serverOf(target)
    try {
      return await send(target, init, agent)
    } catch (error) {
      // Refused all the same; but a server that came back with another key is asked again next time.
      if (isKeyMismatch(error)) servers.delete(target.origin)
      throw error
    }
  }
  return Object.assign(attestedFetch, {
    attest: async (url: string | URL) => (await serverOf(new URL(url))).attestation,
    close: () => {
      for (const server of servers.values()) {
        void server.then(
          ({ agent }) => agent.destroy(),
          () => undefined,
        )
      }
      servers.clear()
    },
  })
}

/** Attests a server; a failure is not remembered, and the oldest server goes when there are many. */
function attestOnce(
  servers: Map<string, Promise<AttestedServer>>,
  url: URL,
  options: AttestedFetchOptions,
): Promise<AttestedServer> {
  const attested = attestServer(url, options)
  servers.delete(url.origin)
  servers.set(url.origin, attested)
  const oldest = servers.keys().next()
  if (servers.size > MAX_SERVERS && !oldest.done) servers.delete(oldest.value)
  attested.catch(() => {
    if (servers.get(url.origin) === attested) servers.delete(url.origin)
  })
  return attested
}

async function attestServer(url: URL, options: AttestedFetchOptions): Promise<AttestedServer> {
  const { verifier, attestationPath = DEFAULT_PATH, maxAttestationAgeMs } = options
  const timeoutMs = options.attestationTimeoutMs ?? DEFAULT_TIMEOUT_MS
  const nonce = randomBytes(NONCE_BYTES)
  const question = new URL(attestationPath, url)
  question.searchParams.set('nonce', nonce.toString('hex'))
  const { document, observed } = await ask(question, timeoutMs)
  const attestation = await verifier.verify(document, { nonce: new Uint8Array(nonce) })
  const bound = boundPin(attestation, observed)
  const ageLimitMs = Date.now() + (maxAttestationAgeMs ?? DEFAULT_MAX_AGE_MS)
  const untilMs = Math.min(ageLimitMs, attestation.validUntilMs)
  return { attestation, agent: createPinnedAgent(bound), untilMs }
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

function isKeyMismatch(error: unknown): boolean {
  return error instanceof AttestationError && error.code === 'ERR_TLS_KEY_MISMATCH'
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
