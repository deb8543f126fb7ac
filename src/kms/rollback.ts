// Detects an older copy of a store by a counter of the TPM. The store says which value the counter has; both go up
// together, the store first. So the store can be one ahead (after a crash between the two) and is never behind,
// unless somebody has put an older copy in its place.

import { incrementCounter, readCounter, type StorageTpm } from '../chip/index.ts'
import { check, CloisterError } from '../errors.ts'
import type { Store } from './store/store.ts'

const CODE = 'ERR_KMS_ROLLBACK'
/** A TPM's memory wears out with every write: changes of keys count at once, requests once an hour. */
const LOG_INTERVAL_MS = 3600_000
const HINT =
  'Put the latest copy of the store back. To continue with an older one on purpose, restore a backup: `cloister kms restore`.'

/** Keeps a store and its counter together. */
export class RollbackGuard {
  readonly #store: Store
  readonly #tpm: StorageTpm
  readonly #counter: number
  #seen = { changes: -1, atMs: 0 }
  #advancing: Promise<void> | undefined

  private constructor(store: Store, tpm: StorageTpm, counter: number) {
    this.#store = store
    this.#tpm = tpm
    this.#counter = counter
  }

  /**
   * Checks that a store is the latest, and counts this opening.
   * @throws ERR_KMS_ROLLBACK
   */
  static async open(
    store: Store,
    { tpm, counter, nowMs }: { tpm: StorageTpm; counter: number; nowMs: number },
  ): Promise<RollbackGuard> {
    const guard = new RollbackGuard(store, tpm, counter)
    const value = await guard.#read()
    // One that was made by a process that was killed at once says nothing, and has nothing to lose.
    const epoch = store.epoch(counter) ?? (store.isEmpty ? value : null)
    check(epoch !== null, CODE, 'the store does not say which value of the counter it belongs to', {
      hint: HINT,
    })
    check(epoch === value || epoch === value + 1n, CODE, 'the store is an older copy of itself', {
      details: { counter: String(value), store: String(epoch) },
      hint: HINT,
    })
    await guard.advance(nowMs)
    return guard
  }

  /** Counts once more if keys have changed, or if there were requests for an hour. */
  async advanceWhenChanged(nowMs: number): Promise<void> {
    const isChanged = this.#store.changes !== this.#seen.changes
    const isLong = Math.abs(nowMs - this.#seen.atMs) >= LOG_INTERVAL_MS
    if (isChanged || isLong) await this.advance(nowMs)
  }

  /** @throws ERR_CHIP_*, ERR_KMS_STORE; the store is then one ahead, or as it was */
  async advance(nowMs: number): Promise<void> {
    this.#advancing ??= this.#advance(nowMs).finally(() => {
      this.#advancing = undefined
    })
    await this.#advancing
  }

  async #advance(nowMs: number): Promise<void> {
    const { changes } = this.#store
    await this.#tpm(async (channel) => {
      const value = (await readCounter(channel, this.#counter)) ?? missing()
      this.#store.setEpoch(this.#counter, value + 1n)
      await incrementCounter(channel, this.#counter)
    })
    this.#seen = { changes, atMs: nowMs }
  }

  async #read(): Promise<bigint> {
    const value = await this.#tpm((channel) => readCounter(channel, this.#counter))
    return value ?? missing()
  }
}

function missing(): never {
  throw new CloisterError(CODE, "the TPM no longer has the store's counter", { hint: HINT })
}
