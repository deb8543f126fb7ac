// Makes and unmakes a TPM: our own manufacturing (SHA-384 PCR bank only, no keys or certificates of
// a vendor) and the orderly end. TPM 2.0 Library, Part 3 sections 9 and 22.5.

import { check } from '../../errors.ts'
import {
  TPM_ALG_SHA1,
  TPM_ALG_SHA256,
  TPM_ALG_SHA384,
  TPM_ALG_SHA512,
  TPM_CAP_PCRS,
  TPM_RH_PLATFORM,
  TPM_SU_CLEAR,
} from './constants.ts'
import { execute, type TpmChannel } from './command.ts'
import { concat, u16, u32 } from './marshal.ts'
import { pcrSelection, readPcrSelection, TPM_PCR_COUNT } from './pcr-selection.ts'
import type { Swtpm } from './swtpm.ts'

const ALL_PCRS = Array.from({ length: TPM_PCR_COUNT }, (_, index) => index)

/**
 * Turns the new TPM of an empty state directory into one with a SHA-384 bank alone.
 * @throws ERR_CHIP_TPM_START when the TPM does not take the allocation.
 */
export async function manufacture(swtpm: Swtpm): Promise<void> {
  const { parameters } = await execute(swtpm, 'PCR_Allocate', {
    handles: [TPM_RH_PLATFORM],
    authorizations: 1,
    parameters: pcrSelection([
      { algorithm: TPM_ALG_SHA1, pcrs: [] },
      { algorithm: TPM_ALG_SHA256, pcrs: [] },
      { algorithm: TPM_ALG_SHA384, pcrs: ALL_PCRS },
      { algorithm: TPM_ALG_SHA512, pcrs: [] },
    ]),
  })
  check(parameters.u8() === 1, 'ERR_CHIP_TPM_START', 'the TPM refused its PCR allocation')
  await shutdown(swtpm)
  await swtpm.powerCycle()
  await execute(swtpm, 'Startup', { parameters: u16(TPM_SU_CLEAR) })
  await checkBanks(swtpm)
}

/** TPM2_Shutdown(CLEAR): without it every stop counts as a dictionary attack. */
export async function shutdown(channel: TpmChannel): Promise<void> {
  await execute(channel, 'Shutdown', { parameters: u16(TPM_SU_CLEAR) })
}

/** @throws ERR_CHIP_TPM_START unless exactly the SHA-384 bank has PCRs. */
async function checkBanks(channel: TpmChannel): Promise<void> {
  const { parameters } = await execute(channel, 'GetCapability', {
    parameters: concat(u32(TPM_CAP_PCRS), u32(0), u32(1)),
  })
  parameters.take(1 + 4) // moreData, capability
  const banks = readPcrSelection(parameters).filter((bank) => bank.pcrs.length > 0)
  const sha384Only = banks.length === 1 && banks[0]?.algorithm === TPM_ALG_SHA384
  check(sha384Only, 'ERR_CHIP_TPM_START', 'the TPM has other PCR banks than SHA-384', {
    details: { banks },
  })
}
