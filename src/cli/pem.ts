// Certificate files that a flag names.

import { decodePemBundle } from '@cloister/attestation/x509'

import { CloisterError, messageOf } from '../errors.ts'

const DER_SEQUENCE = 0x30

/**
 * The DER bytes of the certificates in a file: one in DER, or one or more in PEM.
 *
 * @throws `ERR_CLI_ARGUMENT` when there is none, or a PEM block is malformed.
 */
export function certificatesToDer(bytes: Uint8Array): readonly Uint8Array[] {
  if (bytes[0] === DER_SEQUENCE) return [bytes]
  try {
    return decodePemBundle(new TextDecoder().decode(bytes))
  } catch (cause) {
    throw new CloisterError('ERR_CLI_ARGUMENT', `not a certificate: ${messageOf(cause)}`, {
      cause,
    })
  }
}
