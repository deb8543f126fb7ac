// Quotes of the SHA-384 bank.
// TPM 2.0 Library, Part 2 section 10.12, Part 3 section 18.4.

import { decodeQuote } from '@cloister/attestation/tpm'
import { CloisterError } from '../../errors.ts'
import type { AttestationKey } from './attestation-key.ts'
import { TPM_ALG_NULL, TPM_ALG_SHA384 } from './constants.ts'
import { execute, type TpmChannel } from './command.ts'
import { concat, sized16, u16 } from './marshal.ts'
import { pcrSelection } from './pcr-selection.ts'
import type { ResponseReader } from './response-reader.ts'
import { readSignature } from './signing.ts'

/** A statement of the TPM with its signature. */
export interface SignedAttestation {
  /** TPMS_ATTEST. */
  readonly attested: Uint8Array
  /** `r || s`, 96 bytes. */
  readonly signature: Uint8Array
}

/** TPM2_Quote over PCRs of the SHA-384 bank; `qualifyingData` becomes extraData, 48 bytes. */
export async function quotePcrs(
  channel: TpmChannel,
  key: AttestationKey,
  request: { readonly pcrs: readonly number[]; readonly qualifyingData: Uint8Array },
): Promise<SignedAttestation> {
  const { parameters } = await execute(channel, 'Quote', {
    handles: [key.handle],
    authorizations: 1,
    parameters: concat(
      sized16(request.qualifyingData),
      u16(TPM_ALG_NULL),
      pcrSelection([{ algorithm: TPM_ALG_SHA384, pcrs: request.pcrs }]),
    ),
  })
  return readSignedAttestation(parameters)
}

/** Reads what TPM2_Quote and TPM2_NV_Certify answer: TPM2B_ATTEST, TPMT_SIGNATURE. */
export function readSignedAttestation(parameters: ResponseReader): SignedAttestation {
  const attested = parameters.sized16()
  const signature = readSignature(parameters)
  parameters.end()
  return { attested, signature }
}

/**
 * The 48-byte pcrDigest of a quote: SHA-384 of the selected PCRs in index order.
 * @throws ERR_CHIP_TPM_PROTOCOL when the TPM answered with something else
 */
export function pcrDigestOfQuote(attested: Uint8Array): Uint8Array {
  try {
    return decodeQuote(attested).pcrDigest
  } catch (cause) {
    throw new CloisterError('ERR_CHIP_TPM_PROTOCOL', 'the TPM sent a malformed quote', { cause })
  }
}
