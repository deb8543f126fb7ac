// Maintenance: deletes keys whose waiting period is over and expired imported material, and rotates keys. Each
// change is logged in the transaction that makes it.

import { randomUUID } from 'node:crypto'
import { deleteMaterial } from './imported-key.ts'
import { keyArn, type Place } from './operations/key-names.ts'
import type { RollbackGuard } from './rollback.ts'
import { rotateKey } from './rotate-key.ts'
import type { Store } from './store/store.ts'

const INTERVAL_MS = 60_000
/** Another broker may have given a shared store something to do meanwhile. */
const LOOK_MS = 1000

/** Who does it, in the audit log. */
const BROKER = 'cloister'

interface Keeping {
  readonly store: Store
  /** What keeps the store and a TPM's counter together, where one goes with it. */
  readonly guard?: RollbackGuard | null
  readonly place: Place
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Gets what went wrong, once for each key. */
  readonly report: (fault: unknown) => void
}

/** Does due work at once, and then every minute until it is disposed of. */
export class Upkeep implements Disposable {
  readonly #keeping: Keeping
  readonly #timer: NodeJS.Timeout
  /** When it last failed for a key, in milliseconds since the epoch: it keeps nothing else waiting. */
  readonly #failedMs = new Map<string, number>()
  /** When it last found nothing to do, and until when there is nothing. */
  #idle = { changes: -1, sinceMs: 0, untilMs: 0 }

  constructor(keeping: Keeping) {
    this.#keeping = keeping
    this.work()
    this.#timer = setInterval(() => {
      this.work()
      this.#forgetNonces()
      this.#advance()
    }, INTERVAL_MS).unref()
  }

  /** Called before every request too, so that no request uses a key beyond its time. */
  work(): void {
    const { store, now } = this.#keeping
    const nowMs = now()
    if (this.#isIdle(nowMs)) return
    const { deletion, rotation } = store.keys.due(nowMs)
    const deleted = deletion.filter((id) => this.#try(id, () => this.#delete(id, nowMs)))
    if (deleted.length > 0) store.forgetDeleted()
    const expired = store.materials.expired(nowMs)
    const ended = expired.filter((id) => this.#try(id, () => this.#expire(id, nowMs)))
    if (ended.length > 0) store.forgetDeleted()
    for (const id of rotation) this.#try(id, () => this.#rotate(id, nowMs))
    const untilMs = Math.min(store.keys.nextDueMs(), store.materials.nextEndMs())
    this.#idle = { changes: store.changes, sinceMs: nowMs, untilMs }
  }

  #isIdle(nowMs: number): boolean {
    const { changes, sinceMs, untilMs } = this.#idle
    const isRecent = Math.abs(nowMs - sinceMs) < LOOK_MS
    return isRecent && nowMs < untilMs && changes === this.#keeping.store.changes
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #forgetNonces(): void {
    const { store, now, report } = this.#keeping
    try {
      store.nonces.forgetExpired(now())
    } catch (fault) {
      report(fault)
    }
  }

  #advance(): void {
    const { guard, now, report } = this.#keeping
    guard?.advanceWhenChanged(now()).catch(report)
  }

  /** What failed is tried again after a while: a row that was changed stays so, a full disk does not. */
  #try(id: string, work: () => void): boolean {
    const nowMs = this.#keeping.now()
    const failedMs = this.#failedMs.get(id)
    const sinceMs = nowMs - (failedMs ?? -Infinity)
    if (sinceMs >= 0 && sinceMs < INTERVAL_MS) return false
    try {
      this.#keeping.store.transaction(work)
      this.#failedMs.delete(id)
      return true
    } catch (fault) {
      this.#failedMs.set(id, nowMs)
      if (failedMs === undefined) this.#keeping.report(fault)
      return false
    }
  }

  #delete(id: string, nowMs: number): void {
    const { store } = this.#keeping
    // Throws unless the row is as the broker wrote it: a date that somebody else set deletes nothing. Another broker
    // may have done the work meanwhile.
    if (!isPast(store.keys.find(id)?.deletionMs, nowMs)) return
    store.keys.remove(id)
    this.#log('DeleteKey', id, nowMs)
  }

  #rotate(id: string, nowMs: number): void {
    const { store } = this.#keeping
    const key = store.keys.find(id)
    if (key === undefined || !isPast(key.nextRotationMs, nowMs)) return
    rotateKey(store, key, { cause: 'AUTOMATIC', nowMs })
    this.#log('RotateKey', id, nowMs)
  }

  #expire(id: string, nowMs: number): void {
    const { store } = this.#keeping
    for (const material of store.materials.list(id, 0, Number.MAX_SAFE_INTEGER)) {
      const key = store.keys.find(id)
      if (key === undefined || (material.validToMs ?? nowMs + 1) > nowMs) continue
      deleteMaterial(store, key, material)
      this.#log('DeleteExpiredKeyMaterial', id, nowMs)
    }
  }

  #log(operation: string, id: string, nowMs: number): void {
    const { store, place } = this.#keeping
    store.audit.append({
      ...{ time: new Date(nowMs).toISOString(), requestId: randomUUID(), sourceIp: '' },
      ...{ principal: BROKER, operation, key: keyArn(id, place), decisions: [] },
    })
  }
}

function isPast(timeMs: number | null | undefined, nowMs: number): boolean {
  return timeMs != null && timeMs <= nowMs
}
