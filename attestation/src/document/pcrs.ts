// PCR values as callers see them, and the debug rule.

import { isZero, toHex } from '../bytes.ts'
import type { Payload } from './payload.ts'

/** PCR values by index: 96 lower-case hexadecimal digits each. */
export type PcrTable = Readonly<Record<number, string>>

/** The PCRs of an enclave that hold its measured image. */
const IMAGE_PCRS = [0, 1, 2]

/** PCR values as hexadecimal text, in ascending order of their index. */
export function toPcrTable(pcrs: ReadonlyMap<number, Uint8Array>): PcrTable {
  return Object.fromEntries([...pcrs].map(([pcr, value]) => [pcr, toHex(value)]))
}

/**
 * Whether the image was not measured. Debug mode leaves PCR0, PCR1 and PCR2 zero (PCR4 is often
 * set); no measured image has a zero in any of them, so one zero or a missing one is enough.
 */
export function isDebug({ kind, pcrs }: Payload): boolean {
  if (kind !== 'nitro-enclave') return false
  return IMAGE_PCRS.some((pcr) => isZero(pcrs.get(pcr) ?? new Uint8Array()))
}
