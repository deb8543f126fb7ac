// Whether an enclave that has ended is started again, and when: `restart` of its manifest, or
// run-enclave's --restart. Ends that follow each other fast are followed by longer and longer waits.

import type { EndCause, RestartRule } from '../enclaves/index.ts'

const FIRST_WAIT_MS = 1000
const LONGEST_WAIT_MS = 60_000
/** An app that ran for this long was not a failed start: the delays begin anew. */
const STEADY_MS = 60_000

/** The restart rule of one enclave, and how long it waits next. */
export class Restarts {
  readonly #rule: RestartRule
  #waitMs = FIRST_WAIT_MS

  constructor(rule: RestartRule) {
    this.#rule = rule
  }

  /**
   * How many ms to wait before the next start; undefined when the enclave stays as it is. An end that
   * was asked for is not for this class to judge: nothing starts again then.
   *
   * @param ranMs - How long the app ran; 0 when the start failed.
   */
  after(cause: EndCause, ranMs: number): number | undefined {
    if (this.#rule === 'no' || (this.#rule === 'on-failure' && isSuccess(cause))) return undefined
    if (ranMs >= STEADY_MS) this.#waitMs = FIRST_WAIT_MS
    const waitMs = this.#waitMs
    this.#waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)
    return waitMs
  }
}

/** Only an app can end well, and only with status 0. */
function isSuccess({ first, exitCode }: EndCause): boolean {
  return first === 'app' && exitCode === 0
}
