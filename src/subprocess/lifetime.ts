// What must end together: all things are disposed of at once, so that one that takes long, or fails to
// go, holds up none of the others.

import { CloisterError } from '../errors.ts'

/**
 * Owns things that end together. Disposing throws an AggregateError of everything that could not be
 * ended.
 */
export class Lifetime implements AsyncDisposable {
  readonly #owned: AsyncDisposable[] = []
  #ending: Promise<void> | undefined

  /**
   * Makes `thing` end with this lifetime, and returns it.
   *
   * @throws `ERR_PROCESS_ABANDONED` when the lifetime is over; `thing` is then ended at once.
   */
  async own<T extends AsyncDisposable>(thing: T): Promise<T> {
    if (this.#ending === undefined) {
      this.#owned.push(thing)
      return thing
    }
    await thing[Symbol.asyncDispose]()
    throw new CloisterError('ERR_PROCESS_ABANDONED', 'the start was given up half-way')
  }

  /** A second call waits for the same end. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#endAll()
    return this.#ending
  }

  async #endAll(): Promise<void> {
    const ends = await Promise.allSettled(this.#owned.splice(0).map(end))
    const failures = ends.flatMap((it) => (it.status === 'rejected' ? [it.reason as unknown] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be ended')
  }
}

async function end(thing: AsyncDisposable): Promise<void> {
  await thing[Symbol.asyncDispose]()
}
