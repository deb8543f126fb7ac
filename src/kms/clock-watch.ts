// Notices a clock that was set back. That delays deletions and expirations, and makes old documents young: the operator
// must know.

import { CloisterError } from '../errors.ts'

/** Time servers correct a clock by less. */
const TOLERANCE_MS = 60_000

export class ClockWatch {
  readonly #clock: () => number
  readonly #report: (fault: unknown) => void
  #latestMs: number
  #latestOf = 'the last entry of the audit log is of'

  /**
   * @param clock - Milliseconds since the epoch.
   * @param lastTime - Of the last entry in the audit log; undefined when there is none.
   */
  constructor(clock: () => number, lastTime: string | undefined, report: (fault: unknown) => void) {
    this.#clock = clock
    this.#report = report
    this.#latestMs = lastTime === undefined ? -Infinity : Date.parse(lastTime)
  }

  /** The clock's time. Each time it was set back is reported once. */
  now(): number {
    const nowMs = this.#clock()
    if (this.#latestMs - nowMs >= TOLERANCE_MS) this.#tell(nowMs)
    else if (nowMs < this.#latestMs) return nowMs
    this.#latestMs = nowMs
    this.#latestOf = 'before, it said'
    return nowMs
  }

  #tell(nowMs: number): void {
    const [now, lastTime] = [nowMs, this.#latestMs].map((ms) => new Date(ms).toISOString())
    const message = `the clock was set back to ${String(now)}: ${this.#latestOf} ${String(lastTime)}`
    this.#report(new CloisterError('ERR_KMS_CLOCK', message, { details: { now, lastTime } }))
  }
}
