// How often enclaves have ended, by what ended first, since the counting began.

import type { EnclaveEvent } from '../enclaves/index.ts'
import type { Metric } from './prometheus.ts'

/** Counts ends; what can end first is a small set, and with it the labels. */
export class Ends {
  readonly #counts = new Map<string, number>()

  /** Goes on as long as there are events. */
  async count(events: AsyncIterable<EnclaveEvent>): Promise<void> {
    for await (const event of events) {
      if (event.event !== 'ended') continue
      const { first } = event.end
      this.#counts.set(first, (this.#counts.get(first) ?? 0) + 1)
    }
  }

  metric(): Metric {
    return {
      name: 'cloister_enclave_ends_total',
      type: 'counter',
      help: 'Enclaves that have ended since this server started, by what ended first.',
      samples: Array.from(this.#counts, ([first, value]) => ({ labels: { first }, value })),
    }
  }
}
