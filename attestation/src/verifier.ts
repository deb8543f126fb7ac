// The public face of verification: one document, or a verifier for many.

import type { Attestation } from './attestation.ts'
import { parseOptions, withExpectations } from './options.ts'
import type { Expectations, VerifierOptions } from './options.ts'
import { SignatureCache } from './signature/cache.ts'
import { verifyDocument } from './verify.ts'

/** Verifies many documents under one policy. */
export interface Verifier {
  /**
   * Verifies a document; expectations given here replace those of the verifier.
   * @throws AttestationError when the document must not be trusted.
   */
  verify(document: Uint8Array, expectations?: Expectations): Promise<Attestation>
}

/**
 * Verifies an attestation document (COSE_Sign1 bytes) of AWS Nitro Enclaves or Cloister, and returns
 * what it says. In order: strict decoding; kind; certificate path to one of `roots`; COSE signature;
 * TPM evidence; age; assurance; debug mode; measurements; module id, nonce, public key, user data.
 * @throws AttestationError when the document must not be trusted; TypeError or RangeError when the
 * options are wrong.
 */
export async function verifyAttestation(
  document: Uint8Array,
  options: VerifierOptions,
): Promise<Attestation> {
  return verifyDocument(document, parseOptions(options))
}

/**
 * A verifier for a server: options are checked once, and certificates that verified are remembered
 * in a bounded cache. Dates are checked for every document.
 * @throws TypeError or RangeError when the options are wrong; AttestationError when a root or the
 * measurements are malformed.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const policy = parseOptions(options, new SignatureCache())
  return {
    verify: async (document, expectations) =>
      verifyDocument(
        document,
        expectations === undefined ? policy : withExpectations(policy, expectations),
      ),
  }
}
