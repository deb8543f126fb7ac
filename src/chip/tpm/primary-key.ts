// The primary storage key of a hierarchy, made from its seed by a fixed template, so that it is the same each time.
// ASN.1 Specification for TPM 2.0 Key Files, section 3.1.8; TPM 2.0 Library, Part 3 section 24.1.

import { execute, type TpmChannel } from './command.ts'
import {
  TPM_ALG_AES,
  TPM_ALG_CFB,
  TPM_ALG_ECC,
  TPM_ALG_NULL,
  TPM_ALG_SHA256,
  TPM_ECC_NIST_P256,
} from './constants.ts'
import { concat, sized16, u16, u32 } from './marshal.ts'

const EMPTY = sized16(new Uint8Array(0))
// fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | noDA | restricted | decrypt
const PRIMARY_ATTRIBUTES = 0x00030472
const PRIMARY = concat(
  ...[u16(TPM_ALG_ECC), u16(TPM_ALG_SHA256), u32(PRIMARY_ATTRIBUTES), EMPTY],
  ...[u16(TPM_ALG_AES), u16(128), u16(TPM_ALG_CFB), u16(TPM_ALG_NULL)],
  ...[u16(TPM_ECC_NIST_P256), u16(TPM_ALG_NULL), EMPTY, EMPTY],
)

/** TPM2_CreatePrimary with an empty password; returns the transient handle. */
export async function createPrimary(channel: TpmChannel, hierarchy: number): Promise<number> {
  const { handle } = await execute(channel, 'CreatePrimary', {
    handles: [hierarchy],
    authorizations: 1,
    parameters: concat(sized16(concat(EMPTY, EMPTY)), sized16(PRIMARY), EMPTY, u32(0)),
    returnsHandle: true,
  })
  return handle
}

/** Gives the place of a transient object back. */
export async function flush(channel: TpmChannel, handle: number): Promise<void> {
  await execute(channel, 'FlushContext', { parameters: u32(handle) })
}
