// Measurements as nitro-cli prints them.

import type { Measurements } from '../eif/index.ts'

export interface MeasurementsJson {
  readonly HashAlgorithm: string
  readonly PCR0: string
  readonly PCR1: string
  readonly PCR2: string
  readonly PCR8?: string
}

/** PCRs as lower-case hex under nitro-cli's keys; `PCR8` only for a signed image. */
export function measurementsJson({ pcr0, pcr1, pcr2, pcr8 }: Measurements): MeasurementsJson {
  return {
    // nitro-cli prints the name of its hash with Rust's formatter; scripts compare this text.
    HashAlgorithm: 'Sha384 { ... }',
    PCR0: hex(pcr0.pcr),
    PCR1: hex(pcr1.pcr),
    PCR2: hex(pcr2.pcr),
    ...(pcr8 && { PCR8: hex(pcr8.pcr) }),
  }
}

/** Lower case. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
