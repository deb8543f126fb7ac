// A TPM in which a program of the host keeps a secret and a counter: the host chip, or a TPM device.

import { randomInt } from 'node:crypto'
import { responseCodeOf, type TpmChannel } from './tpm/command.ts'
import { TPM_RC_NV_DEFINED } from './tpm/constants.ts'
import { defineCounter } from './tpm/nv-counter.ts'
import { openTpm } from './tpm/open-tpm.ts'

/** Does some work with the TPM, which is open only meanwhile. */
export type StorageTpm = <T>(work: (channel: TpmChannel) => Promise<T>) => Promise<T>

/** NV indices of the owner (TCG Registry of Reserved TPM 2.0 Handles, section 2.2.2): a part that nobody has. */
const [FIRST_INDEX, INDEX_COUNT] = [0x01a0_0000, 0x1_0000] as const
const MAX_TRIES = 8

/** The TPM at a device or a Unix socket. */
export function deviceStorage(path: string): StorageTpm {
  return async (work) => {
    await using tpm = await openTpm(path)
    return await work(tpm)
  }
}

/**
 * Defines a counter at an index that is free, and returns the index.
 * @throws ERR_CHIP_TPM_RC
 */
export async function defineNewCounter(channel: TpmChannel): Promise<number> {
  for (let tries = 1; ; tries++) {
    const index = FIRST_INDEX + randomInt(INDEX_COUNT)
    try {
      await defineCounter(channel, index)
      return index
    } catch (error) {
      if (responseCodeOf(error) !== TPM_RC_NV_DEFINED || tries === MAX_TRIES) throw error
    }
  }
}
