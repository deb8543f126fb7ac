// What a keeper tells of its enclave on request, beyond what the record has.

import type { MachineReport } from '../vmm/index.ts'
import type { TimelineStep } from './timeline.ts'

export interface Inspection {
  /** Absent when QEMU does not answer. */
  readonly machine?: MachineReport
  /** Absent when the virtual TPM does not answer. */
  readonly chip?: ChipInspection
  /** What the start did, step by step. */
  readonly timeline: readonly TimelineStep[]
}

export interface ChipInspection {
  /** PCRs that are locked or hold something; 48 bytes in hexadecimal. */
  readonly pcrs: readonly {
    readonly index: number
    readonly value: string
    readonly isLocked: boolean
  }[]
  /** RFC 3339: how long the certificate of the documents is valid. */
  readonly certificate: { readonly notBefore: string; readonly notAfter: string }
}
