// A fetch that talks only to a server whose TLS key is bound in a verified document.

import { AttestationError, type Attestation } from '@cloister/attestation'
import { attestServer } from './attest-server.ts'
import type { AttestedFetchOptions } from './fetch-options.ts'
import { send, type AttestedRequestInit } from './request.ts'
import { ServerPool } from './server-pool.ts'

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
