// A fetch that talks only to a server whose TLS key is bound in a verified document.

import { AttestationError, type Attestation, type Verifier } from '@cloister/attestation'
import { attestServer } from './attest-server.ts'
import { send, type AttestedRequestInit } from './request.ts'
import { ServerPool } from './server-pool.ts'

/** How servers are attested. */
export interface AttestedFetchOptions {
  /** Verifies the documents: roots, measurements and all. */
  readonly verifier: Verifier
  /** Where a server answers `?nonce=<hex>` with its document; `/.well-known/attestation`. */
  readonly attestationPath?: string
  /** How long an attestation counts before it is asked for again; 5 minutes by default. */
  readonly maxAttestationAgeMs?: number
  /**
   * What a document is bound to: the server's key (the default), or each connection of its own, by the
   * TLS exporter (RFC 9266). Then a document counts for the connection that it was asked for over, and
   * for no other, not even one with the same key. The server has to answer `&binding=tls-exporter` with a
   * document whose nonce is `"tls-exporter:"`, the exporter and the client's nonce, and must let nobody
   * choose a nonce that begins so.
   */
  readonly binding?: 'key' | 'connection'
  /** How long a server may take to answer for itself; 30 seconds by default. */
  readonly attestationTimeoutMs?: number
}

/** Like `fetch`, for `https:` URLs of attested servers. */
export interface AttestedFetch {
  (url: string | URL, init?: AttestedRequestInit): Promise<Response>
  /** The verified document of a server, asked for when there is none that still counts. */
  attest(url: string | URL): Promise<Attestation>
  /** Closes idle connections, and those in use when their requests are done. */
  close(): void
}

/**
 * Makes a fetch. A server's document must bind its TLS key: `public_key` is the DER
 * SubjectPublicKeyInfo, or `user_data` is its SHA-256.
 */
export function createAttestedFetch(options: AttestedFetchOptions): AttestedFetch {
  const pool = new ServerPool((url) => attestServer(url, options))

  const attestedFetch = async (url: string | URL, init: AttestedRequestInit = {}) => {
    const target = httpsUrl(url)
    const server = await pool.get(target)
    try {
      return await send(target, init, server.agent)
    } catch (error) {
      // Refused all the same; but a server that came back with another key is asked again next time.
      if (isKeyMismatch(error)) await pool.forget(target, server)
      throw error
    }
  }
  return Object.assign(attestedFetch, {
    attest: async (url: string | URL) => (await pool.get(httpsUrl(url))).attestation,
    close: () => {
      pool.clear()
    },
  })
}

function httpsUrl(url: string | URL): URL {
  const target = new URL(url)
  if (target.protocol === 'https:') return target
  throw new TypeError('attested servers are reached by https:')
}

function isKeyMismatch(error: unknown): boolean {
  return error instanceof AttestationError && error.code === 'ERR_TLS_KEY_MISMATCH'
}
