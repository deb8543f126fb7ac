// What the start-up did, step by step, with times.

export interface TimelineStep {
  readonly step: string
  /** Milliseconds from the beginning to the start of the step. */
  readonly atMs: number
  readonly tookMs: number
}

/**
 * Records how long each step took, in milliseconds from the construction of the timeline. A step
 * that throws is not recorded.
 */
export class Timeline {
  readonly #begin = performance.now()
  readonly #steps: TimelineStep[] = []

  get steps(): readonly TimelineStep[] {
    return this.#steps.toSorted((a, b) => a.atMs - b.atMs)
  }

  /** Runs `work` as one step; steps may overlap. */
  async measure<T>(step: string, work: () => Promise<T> | T): Promise<T> {
    const start = performance.now()
    const result = await work()
    this.#steps.push({
      step,
      atMs: Math.round(start - this.#begin),
      tookMs: Math.round(performance.now() - start),
    })
    return result
  }
}
