// The NSM's PCRs that a TPM PCR cannot be (any data length, a lock): NV EXTEND indices,
// `new = SHA384(old || data)`, 48 bytes, starting at zero. Nobody can undefine one (the policy that
// deletion asks for cannot be satisfied), and a write lock holds until the TPM is power-cycled,
// which also clears the index. TPM 2.0 Library, Part 2 section 13, Part 3 section 31.

import { NV_PCR_ATTRIBUTES, nvIndexOf, unsatisfiablePolicy } from '@cloister/attestation/tpm'
import {
  MAX_BUFFER_BYTES,
  SHA384_BYTES,
  TPM_ALG_NULL,
  TPM_ALG_SHA384,
  TPM_RC_NV_UNINITIALIZED,
  TPM_RH_PLATFORM,
} from './constants.ts'
import type { AttestationKey } from './attestation-key.ts'
import { execute, responseCodeOf, type TpmChannel } from './command.ts'
import { concat, sized16, u16, u32 } from './marshal.ts'
import { readSignedAttestation, type SignedAttestation } from './quote.ts'

/** A certified index: what it is, what it holds, signed. */
export interface NvCertification extends SignedAttestation {
  /** TPMS_NV_PUBLIC, with the WRITTEN and WRITELOCKED attributes as they are. */
  readonly nvPublic: Uint8Array
}

/**
 * Defines the NV index of an NSM PCR (TPM2_NV_DefineSpace), authorized by the platform hierarchy.
 * It reads as unwritten until it is extended.
 *
 * @throws `ERR_CHIP_TPM_RC` when the index exists already, and as {@link execute}
 */
export async function defineNvPcr(channel: TpmChannel, pcr: number): Promise<void> {
  const nvPublic = concat(
    ...[u32(nvIndexOf(pcr)), u16(TPM_ALG_SHA384), u32(NV_PCR_ATTRIBUTES)],
    ...[sized16(unsatisfiablePolicy()), u16(SHA384_BYTES)],
  )
  await execute(channel, 'NV_DefineSpace', {
    handles: [TPM_RH_PLATFORM],
    authorizations: 1,
    parameters: concat(sized16(new Uint8Array(0)), sized16(nvPublic)),
  })
}

/**
 * `new = SHA384(old || data)`, data of 1 to 1024 bytes.
 * @throws ERR_CHIP_TPM_RC (0x148) once the index is locked.
 */
export async function extendNvPcr(
  channel: TpmChannel,
  pcr: number,
  data: Uint8Array,
): Promise<void> {
  if (data.length === 0 || data.length > MAX_BUFFER_BYTES) {
    throw new RangeError('an NV index is extended with 1 to 1024 bytes')
  }
  const parameters = sized16(data)
  await execute(channel, 'NV_Extend', { ...ownHandles(pcr), parameters })
}

/** TPM2_NV_WriteLock: no extend succeeds from now on, also when nothing was ever written. */
export async function lockNvPcr(channel: TpmChannel, pcr: number): Promise<void> {
  await execute(channel, 'NV_WriteLock', ownHandles(pcr))
}

/** The 48-byte value; `undefined` when the index was never written. */
export async function readNvPcr(channel: TpmChannel, pcr: number): Promise<Uint8Array | undefined> {
  try {
    const parameters = concat(u16(SHA384_BYTES), u16(0))
    const read = await execute(channel, 'NV_Read', { ...ownHandles(pcr), parameters })
    return read.parameters.sized16()
  } catch (error) {
    if (responseCodeOf(error) === TPM_RC_NV_UNINITIALIZED) return undefined
    throw error
  }
}

/**
 * TPM2_NV_Certify of all 48 bytes; `qualifyingData` becomes extraData, 48 bytes.
 * @throws ERR_CHIP_TPM_RC (0x14a) when the index was never written.
 */
export async function certifyNvPcr(
  channel: TpmChannel,
  key: AttestationKey,
  request: { readonly pcr: number; readonly qualifyingData: Uint8Array },
): Promise<NvCertification> {
  const index = nvIndexOf(request.pcr)
  const certified = await execute(channel, 'NV_Certify', {
    handles: [key.handle, index, index],
    authorizations: 2,
    parameters: concat(
      ...[sized16(request.qualifyingData), u16(TPM_ALG_NULL)],
      ...[u16(SHA384_BYTES), u16(0)],
    ),
  })
  const { parameters } = await execute(channel, 'NV_ReadPublic', { handles: [index] })
  return { nvPublic: parameters.sized16(), ...readSignedAttestation(certified.parameters) }
}

// An index is its own authorization: first handle the authority, second the index.
function ownHandles(pcr: number): { handles: readonly number[]; authorizations: number } {
  return { handles: [nvIndexOf(pcr), nvIndexOf(pcr)], authorizations: 1 }
}
