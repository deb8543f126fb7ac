// Admits a request only with a document that answers a fresh challenge of this server:
//   401 WWW-Authenticate: Attestation nonce="<base64url>"
//   then the same request with Attestation-Document: <base64 of the document with that nonce>

import type { Attestation } from '../attestation.ts'
import { fromBase64, toBase64Url } from '../base64.ts'
import { AttestationError } from '../errors.ts'
import type { Verifier } from '../verifier.ts'
import { Challenges, type ChallengeOptions } from './challenge.ts'

/** The request header that carries the document. */
export const DOCUMENT_HEADER = 'attestation-document'

/** What to answer a request that is not admitted. */
export interface Refusal {
  readonly status: 401 | 403 | 503
  readonly headers: Readonly<Record<string, string>>
  /** JSON with the code; no detail of the policy. */
  readonly body: string
  readonly error: AttestationError
}

/** A request is admitted with what was verified, or refused with an answer. */
export type Admission =
  | { readonly attestation: Attestation; readonly refusal?: never }
  | { readonly attestation?: never; readonly refusal: Refusal }

/** Decides about requests; one per server, so that a nonce is used once. */
export interface AttestationGate {
  /** `document` is the value of the header Attestation-Document. */
  admit(document: string | null | undefined): Promise<Admission>
}

/**
 * A gate in front of a service.
 * @param verifier - verifies documents; the gate adds its own nonce to what it expects.
 */
export function createGate(verifier: Verifier, options: ChallengeOptions = {}): AttestationGate {
  const challenges = new Challenges(options)
  return {
    admit: async (document) => {
      try {
        return { attestation: await admitOne(document, verifier, challenges) }
      } catch (error) {
        if (!(error instanceof AttestationError)) throw error
        return { refusal: refusalOf(error, await challenges.issue()) }
      }
    },
  }
}

/** The nonce is redeemed last, once everything else about the document has been verified. */
async function admitOne(
  document: string | null | undefined,
  verifier: Verifier,
  challenges: Challenges,
): Promise<Attestation> {
  const bytes = document ? fromBase64(document) : undefined
  if (!bytes) throw new AttestationError('ERR_HTTP_DOCUMENT_MISSING', 'no attestation document')
  const attestation = await verifier.verify(bytes)
  await challenges.redeem(attestation.nonce)
  return attestation
}

function refusalOf(error: AttestationError, nonce: Uint8Array): Refusal {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  const body = JSON.stringify({ error: error.code })
  if (error.code === 'ERR_HTTP_OVERLOADED') return { status: 503, headers, body, error }
  const challenge = `Attestation nonce="${toBase64Url(nonce)}"`
  const again = { ...headers, 'www-authenticate': challenge }
  const status = error.code === 'ERR_HTTP_DOCUMENT_MISSING' ? 401 : 403
  return { status, headers: again, body, error }
}
