// TPML_PCR_SELECTION: which PCRs of which bank, one bit each (bit i of byte i >> 3).
// TPM 2.0 Library, Part 2 sections 10.6.2 and 10.9.7.

import { concat, u16, u32, u8 } from './marshal.ts'
import type { ResponseReader } from './response-reader.ts'

/** PCRs of one bank: a TPMS_PCR_SELECTION. */
export interface PcrBank {
  /** TPM_ALG_ID of the bank. */
  readonly algorithm: number
  readonly pcrs: readonly number[]
}

/** A PC client TPM has 24 PCRs in each bank. */
export const TPM_PCR_COUNT = 24
const MASK_BYTES = TPM_PCR_COUNT / 8

/** Encodes a TPML_PCR_SELECTION with 3-byte masks; `pcrs` are 0 to 23. */
export function pcrSelection(banks: readonly PcrBank[]): Uint8Array {
  const selections = banks.map(({ algorithm, pcrs }) =>
    concat(u16(algorithm), u8(MASK_BYTES), maskOf(pcrs)),
  )
  return concat(u32(banks.length), ...selections)
}

/** @throws ERR_CHIP_TPM_PROTOCOL when the structure ends early. */
export function readPcrSelection(reader: ResponseReader): readonly PcrBank[] {
  const banks: PcrBank[] = []
  for (let left = reader.u32(); left > 0; left--) {
    const algorithm = reader.u16()
    banks.push({ algorithm, pcrs: pcrsOf(reader.take(reader.u8())) })
  }
  return banks
}

function maskOf(pcrs: readonly number[]): Uint8Array {
  const mask = new Uint8Array(MASK_BYTES)
  for (const pcr of pcrs) mask[pcr >> 3] = (mask[pcr >> 3] ?? 0) | (1 << (pcr & 7))
  return mask
}

function pcrsOf(mask: Uint8Array): readonly number[] {
  const all = Array.from({ length: mask.length * 8 }, (_, pcr) => pcr)
  return all.filter((pcr) => ((mask[pcr >> 3] ?? 0) >> (pcr & 7)) & 1)
}
