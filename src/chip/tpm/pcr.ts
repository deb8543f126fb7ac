// PCRs of the SHA-384 bank. TPM 2.0 Library, Part 3 section 22.

import { check } from '../../errors.ts'
import { SHA384_BYTES, TPM_ALG_SHA384 } from './constants.ts'
import { execute, type TpmChannel } from './command.ts'
import { concat, u16, u32 } from './marshal.ts'
import { pcrSelection, readPcrSelection } from './pcr-selection.ts'

/** 48-byte values by PCR index. */
export type PcrValues = ReadonlyMap<number, Uint8Array>

/** TPM2_PCR_Extend: `new = SHA384(old || digest)`, the digest being 48 bytes. */
export async function extendPcr(
  channel: TpmChannel,
  pcr: number,
  digest: Uint8Array,
): Promise<void> {
  if (digest.length !== SHA384_BYTES) throw new RangeError('a PCR is extended with 48 bytes')
  await execute(channel, 'PCR_Extend', {
    handles: [pcr],
    authorizations: 1,
    parameters: concat(u32(1), u16(TPM_ALG_SHA384), digest),
  })
}

/**
 * TPM2_PCR_Read until all are read: one response holds at most 8 digests.
 * @throws ERR_CHIP_TPM_PROTOCOL when the TPM returns none of those asked for.
 */
export async function readPcrs(channel: TpmChannel, pcrs: readonly number[]): Promise<PcrValues> {
  const values = new Map<number, Uint8Array>()
  let missing = pcrs
  while (missing.length > 0) {
    const before = missing.length
    for (const [pcr, value] of await readSomePcrs(channel, missing)) values.set(pcr, value)
    missing = pcrs.filter((pcr) => !values.has(pcr))
    check(missing.length < before, 'ERR_CHIP_TPM_PROTOCOL', 'the TPM does not return a PCR', {
      details: { missing },
    })
  }
  return values
}

async function readSomePcrs(channel: TpmChannel, pcrs: readonly number[]): Promise<PcrValues> {
  const { parameters } = await execute(channel, 'PCR_Read', {
    parameters: pcrSelection([{ algorithm: TPM_ALG_SHA384, pcrs }]),
  })
  parameters.take(4) // pcrUpdateCounter
  const returned = readPcrSelection(parameters).flatMap((bank) => bank.pcrs)
  const count = parameters.u32()
  check(count === returned.length, 'ERR_CHIP_TPM_PROTOCOL', 'PCR_Read: count of digests')
  return new Map(returned.map((pcr) => [pcr, parameters.sized16()]))
}
