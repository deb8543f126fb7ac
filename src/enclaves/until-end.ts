// Until an enclave has ended.

import { setTimeout as sleep } from 'node:timers/promises'
import { CloisterError } from '../errors.ts'
import { isAlive, type EndedRecord, type EnclaveRecord } from './record.ts'
import type { Registry } from './registry.ts'

/** How often its record is looked at. */
const LOOK_MS = 100

export interface UntilEndOptions {
  /** How long to wait; without end by default. */
  readonly seconds?: number | undefined
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined
}

/**
 * @throws `ERR_KEEPER_WAIT` when it still runs after so many seconds, `ERR_KEEPER_NO_SUCH_ENCLAVE`; the
 * reason of the signal
 */
export async function untilEnd(
  registry: Registry,
  record: EnclaveRecord,
  { seconds, signal }: UntilEndOptions = {},
): Promise<EndedRecord> {
  const deadline = seconds === undefined ? Infinity : performance.now() + seconds * 1000
  // Its keeper may go on with another enclave, which a restart rule asks for.
  for (let latest = record; ; latest = registry.find(record.id, 'id')) {
    if (!isAlive(latest)) return latest
    if (performance.now() > deadline) throw stillRuns(record, seconds ?? 0)
    signal?.throwIfAborted()
    await sleep(LOOK_MS)
  }
}

function stillRuns({ description }: EnclaveRecord, seconds: number): CloisterError {
  const message = `${description.name} is still running after ${String(seconds)} s`
  return new CloisterError('ERR_KEEPER_WAIT', message, { details: { seconds } })
}
