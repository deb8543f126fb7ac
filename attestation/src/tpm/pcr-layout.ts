// Where the TPM of a Cloister enclave keeps the NSM's 32 PCRs: 0 to 15 without 3 and 4 are TPM PCRs of
// the same number, the others NV EXTEND indices. Shared by the verifier and by what makes evidence.

import { SHA384_BYTES } from '../signature/webcrypto.ts'

/** The NSM PCRs that are TPM PCRs of the same number, ascending: what a quote covers. */
export const QUOTED_PCRS: readonly number[] = /* @__PURE__ */ Object.freeze([
  0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
])

/** In the platform's range of handles. */
const NV_INDEX_BASE = 0x01400200

/**
 * TPMA_NV of a PCR as it is defined: PLATFORMCREATE, CLEAR_STCLEAR, NO_DA, AUTHREAD, OWNERREAD,
 * WRITE_STCLEAR, POLICY_DELETE, type EXTEND, AUTHWRITE.
 */
export const NV_PCR_ATTRIBUTES = 0x4a064444
/** TPMA_NV of a PCR that was written and locked: the same with WRITTEN and WRITELOCKED. */
export const LOCKED_NV_PCR_ATTRIBUTES = 0x6a064c44

/** Whether an NSM PCR is kept in an NV EXTEND index: a TPM PCR cannot take its data or its lock. */
export function isNvPcr(pcr: number): boolean {
  return pcr === 3 || pcr === 4 || (pcr >= 16 && pcr <= 31)
}

/** The NV index that holds an NSM PCR. */
export function nvIndexOf(pcr: number): number {
  return NV_INDEX_BASE + pcr
}

/**
 * The policy that deleting such an index asks for, 48 bytes: no sequence of policy commands is known
 * to hash to it.
 */
export function unsatisfiablePolicy(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(SHA384_BYTES).fill(0xff)
}
