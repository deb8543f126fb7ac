// A monotonic counter in a TPM's non-volatile memory. It starts above every counter that the TPM ever had, so that
// deleting and defining it again cannot turn it back. TPM 2.0 Library, Part 3 sections 31.3 (DefineSpace), 31.8
// (Increment) and 31.13 (Read); Part 2 section 13.4 (attributes).

import { execute, responseCodeOf, type TpmChannel } from './command.ts'
import {
  TPM_ALG_SHA256,
  TPM_RC_HANDLE_1,
  TPM_RC_NV_UNINITIALIZED,
  TPM_RH_OWNER,
} from './constants.ts'
import { concat, sized16, u16, u32 } from './marshal.ts'

const COUNTER_BYTES = 8
// TPM_NT_COUNTER | AUTHWRITE | AUTHREAD | NO_DA
const ATTRIBUTES = 0x02040014
const EMPTY = sized16(new Uint8Array(0))

/**
 * Defines a counter at an NV index, authorized by the owner hierarchy, and increments it once: before that it has
 * no value.
 * @throws ERR_CHIP_TPM_RC (0x14c when the index is in use)
 */
export async function defineCounter(channel: TpmChannel, index: number): Promise<void> {
  const nvPublic = concat(
    ...[u32(index), u16(TPM_ALG_SHA256), u32(ATTRIBUTES), EMPTY, u16(COUNTER_BYTES)],
  )
  await execute(channel, 'NV_DefineSpace', {
    handles: [TPM_RH_OWNER],
    authorizations: 1,
    parameters: concat(EMPTY, sized16(nvPublic)),
  })
  await incrementCounter(channel, index)
}

/** @throws ERR_CHIP_TPM_RC */
export async function incrementCounter(channel: TpmChannel, index: number): Promise<void> {
  await execute(channel, 'NV_Increment', { handles: [index, index], authorizations: 1 })
}

/**
 * The value of a counter; undefined when there is none at the index.
 * @throws ERR_CHIP_TPM_RC
 */
export async function readCounter(channel: TpmChannel, index: number): Promise<bigint | undefined> {
  try {
    const { parameters } = await execute(channel, 'NV_Read', {
      ...{ handles: [index, index], authorizations: 1 },
      parameters: concat(u16(COUNTER_BYTES), u16(0)),
    })
    return Buffer.from(parameters.sized16()).readBigUInt64BE()
  } catch (error) {
    const rc = responseCodeOf(error)
    if (rc === TPM_RC_HANDLE_1 || rc === TPM_RC_NV_UNINITIALIZED) return undefined
    throw error
  }
}

/** Frees the index of a counter. */
export async function undefineCounter(channel: TpmChannel, index: number): Promise<void> {
  await execute(channel, 'NV_UndefineSpace', { handles: [TPM_RH_OWNER, index], authorizations: 1 })
}
