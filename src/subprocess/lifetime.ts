// What must end together: things are disposed of in the reverse order of their making, all of
// them, even when one of them fails to go.

import { CloisterError } from '../errors.ts'

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
    const failures: unknown[] = []
    for (const thing of this.#owned.splice(0).reverse()) {
      await end(thing).catch((error: unknown) => failures.push(error))
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be ended')
  }
}

async function end(thing: AsyncDisposable): Promise<void> {
  await thing[Symbol.asyncDispose]()
}
