// An enclave's end: every part goes, the console is saved, the record says why. A full disk may
// cost any of these steps, but no step costs another.

import { reasonOf } from '../errors.ts'
import type { ConsoleLog } from './guest/console-log.ts'
import type { Journal } from './journal.ts'
import { endNow, type EndCause, type Registry, type RunningRecord } from '../enclaves/index.ts'

export interface Ending {
  readonly registry: Registry
  readonly journal: Journal
  readonly running: RunningRecord
  readonly cause: EndCause
  readonly enclave: AsyncDisposable & {
    readonly console: ConsoleLog | undefined
    readonly logged: () => Promise<void>
    readonly peakMemoryBytes: number | undefined
  }
  /** Called when every part has ended, before the record says so. */
  readonly succeed: () => Promise<void>
}

/** Ends the enclave and records that; what fails is told in the journal. Never rejects. */
export async function recordEnd(ending: Ending): Promise<void> {
  const { registry, journal, running, cause, enclave, succeed } = ending
  const attempt = async (step: string, carryOut: () => unknown): Promise<void> => {
    try {
      await carryOut()
    } catch (error) {
      journal.write(`cannot ${step}: ${reasonOf(error)}`)
    }
  }
  if (cause.first === 'app') await attempt('wait for the last lines', () => enclave.logged())
  await attempt('end every part', () => enclave[Symbol.asyncDispose]())
  await attempt('save the console', async () => {
    await enclave.console?.drained()
    enclave.console?.save(registry.directory(running.id))
  })
  await attempt('start it again', succeed)
  await attempt(`record that ${cause.first} ended first (${cause.reason})`, () =>
    registry.finish(running, endNow(running, cause, enclave.peakMemoryBytes)),
  )
}
