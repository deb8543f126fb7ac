// How a keeper learns that it is to end its enclave for good: by terminate-enclave, by a signal, or because the
// process that asked for the enclave went away. It may come at any time, also while the enclave starts.

import type { EndCause } from '../enclaves/index.ts'
import { deferred } from '../subprocess/index.ts'

/** Collects the requests to end an enclave. The first one aborts a launch that is under way. */
export class StopSwitch {
  readonly #launch = new AbortController()
  readonly #done = deferred<EndCause>()
  #request: string | undefined
  #stopApp: ((graceMs: number) => Promise<void>) | undefined

  /** Aborted by the first request: an enclave that has not started yet is not to start. */
  get launchSignal(): AbortSignal {
    return this.#launch.signal
  }

  /** Why the enclave is to end, in words; undefined while nobody has asked for it. */
  get request(): string | undefined {
    return this.#request
  }

  /** Settles when a request was carried out as far as the app is concerned. */
  get stopped(): Promise<EndCause> {
    return this.#done.promise
  }

  /** From now on the app is asked to end before the enclave does. */
  arm(stopApp: (graceMs: number) => Promise<void>): void {
    this.#stopApp = stopApp
  }

  /** From now on there is no app to ask. */
  disarm(): void {
    this.#stopApp = undefined
  }

  /** A later request with less patience overtakes an earlier one. */
  ask(graceMs: number, reason = 'terminated on request'): void {
    this.#request ??= reason
    this.#launch.abort()
    void this.#stop(graceMs, reason)
  }

  /** Takes SIGTERM, SIGINT and SIGHUP as requests without patience. */
  listenToSignals(): void {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
      process.on(signal, () => {
        this.ask(0, `the keeper got ${signal}`)
      })
  }

  async #stop(graceMs: number, reason: string): Promise<void> {
    await this.#stopApp?.(graceMs)
    this.#done.resolve({ first: 'request', reason })
  }
}
