// Data that only this TPM can decrypt: a sealed data object below the primary key of the owner hierarchy, with an
// empty password and without a policy. TPM 2.0 Library, Part 3 sections 12.1 (Create), 12.2 (Load), 12.7 (Unseal).

import { execute, type TpmChannel } from './command.ts'
import { TPM_ALG_KEYEDHASH, TPM_ALG_NULL, TPM_ALG_SHA256, TPM_RH_OWNER } from './constants.ts'
import { concat, sized16, u16, u32 } from './marshal.ts'
import { createPrimary, flush } from './primary-key.ts'

/** The two halves of a sealed object: TPM2B_PUBLIC and TPM2B_PRIVATE. */
export interface SealedData {
  readonly publicBlob: Uint8Array
  readonly privateBlob: Uint8Array
}

const EMPTY = sized16(new Uint8Array(0))
const NO_PCRS = u32(0)
/** MAX_SYM_DATA: the most that one object can hold. */
const MAX_SEALED_BYTES = 128
// fixedTPM | fixedParent | userWithAuth | noDA
const ATTRIBUTES = 0x00000452
const PUBLIC = concat(
  ...[u16(TPM_ALG_KEYEDHASH), u16(TPM_ALG_SHA256), u32(ATTRIBUTES), EMPTY],
  ...[u16(TPM_ALG_NULL), EMPTY],
)

/**
 * Encrypts 1 to 128 bytes so that only this TPM can decrypt them.
 * @throws ERR_CHIP_TPM_RC; what the channel throws
 */
export async function sealData(channel: TpmChannel, data: Uint8Array): Promise<SealedData> {
  if (data.length === 0 || data.length > MAX_SEALED_BYTES)
    throw new RangeError('a TPM seals 1 to 128 bytes')
  const parent = await createPrimary(channel, TPM_RH_OWNER)
  try {
    const { parameters } = await execute(channel, 'Create', {
      handles: [parent],
      authorizations: 1,
      parameters: concat(
        sized16(concat(EMPTY, sized16(data))), // inSensitive: no password, the data
        ...[sized16(PUBLIC), EMPTY, NO_PCRS],
      ),
    })
    const [privateBlob, publicBlob] = [parameters.sized16(), parameters.sized16()].map(sized16)
    return { publicBlob: publicBlob ?? EMPTY, privateBlob: privateBlob ?? EMPTY }
  } finally {
    await flush(channel, parent)
  }
}

/**
 * Decrypts what {@link sealData} returned.
 * @throws ERR_CHIP_TPM_RC when another TPM sealed it, or it was changed; what the channel throws
 */
export async function unsealData(
  channel: TpmChannel,
  { publicBlob, privateBlob }: SealedData,
): Promise<Uint8Array> {
  const parent = await createPrimary(channel, TPM_RH_OWNER)
  try {
    const { handle } = await execute(channel, 'Load', {
      handles: [parent],
      authorizations: 1,
      parameters: concat(privateBlob, publicBlob),
      returnsHandle: true,
    })
    try {
      const { parameters } = await execute(channel, 'Unseal', {
        handles: [handle],
        authorizations: 1,
      })
      return parameters.sized16()
    } finally {
      await flush(channel, handle)
    }
  } finally {
    await flush(channel, parent)
  }
}
