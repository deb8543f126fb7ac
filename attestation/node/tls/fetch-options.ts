// What a caller of an attested fetch chooses.

import type { Verifier } from '@cloister/attestation'

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
