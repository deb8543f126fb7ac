// The state of an enclave's chip, for people.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ChipInspection } from '../../enclaves/index.ts'
import type { EnclaveChip } from './chip.ts'

/** Requests of the guest come first. */
const TIMEOUT_MS = 3000

/** Undefined when the virtual TPM does not answer in time. */
export async function inspectChip(
  chip: Pick<EnclaveChip, 'state'>,
): Promise<ChipInspection | undefined> {
  const state = chip.state().catch(() => undefined)
  const found = await Promise.race([state, sleep(TIMEOUT_MS, undefined, { ref: false })])
  if (found === undefined) return undefined
  const { notBefore, notAfter } = found.certificate
  return {
    pcrs: found.pcrs.map(({ index, value, isLocked }) => {
      return { index, value: Buffer.from(value).toString('hex'), isLocked }
    }),
    certificate: { notBefore: notBefore.toISOString(), notAfter: notAfter.toISOString() },
  }
}
