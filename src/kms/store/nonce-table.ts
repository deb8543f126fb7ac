// Nonces for documents. One says by itself that this broker issued it and until when it is valid; the store remembers
// those that were used until they have expired by every broker's clock.

import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Database } from './database.ts'
import type { MasterKey } from './master-key.ts'

const RANDOM_BYTES = 16
const TIME_BYTES = 8
const MAC_BYTES = 32
/** By less, the clocks of brokers that share a store may differ, and a clock may be set back. */
const CLOCKS_APART_MS = 24 * 60 * 60 * 1000
const NONCE_BYTES = RANDOM_BYTES + TIME_BYTES + MAC_BYTES

/** Issues nonces, and accepts each once. */
export class NonceTable {
  readonly #database: Database
  readonly #master: MasterKey

  constructor(database: Database, master: MasterKey) {
    this.#database = database
    this.#master = master
  }

  /** A new nonce of 56 bytes: random bytes, the end of its validity, a MAC. */
  issue(validToMs: number): Uint8Array {
    const time = Buffer.alloc(TIME_BYTES)
    time.writeBigUInt64BE(BigInt(validToMs))
    const head = Buffer.concat([randomBytes(RANDOM_BYTES), time])
    return Buffer.concat([head, this.#macOf(head)])
  }

  /**
   * Uses a nonce, in the transaction of the caller; whether it is the broker's own, still valid, and was not used
   * before.
   */
  use(nonce: Uint8Array, nowMs: number): boolean {
    const valid = this.#read(nonce, nowMs)
    if (valid === null) return false
    const sql = 'INSERT INTO used_nonces VALUES (?, ?) ON CONFLICT (nonce) DO NOTHING'
    return this.#database.append(sql, [valid.head, valid.validToMs]) === 1
  }

  /** Whether it could be used. */
  isUnused(nonce: Uint8Array, nowMs: number): boolean {
    const valid = this.#read(nonce, nowMs)
    if (valid === null) return false
    const sql = 'SELECT 1 AS found FROM used_nonces WHERE nonce = ?'
    return this.#database.get(sql, [valid.head]) === null
  }

  /** Forgets used nonces that no broker would accept any more. */
  forgetExpired(nowMs: number): void {
    const endMs = nowMs - CLOCKS_APART_MS
    const sql = 'SELECT 1 AS found FROM used_nonces WHERE valid_to_ms <= ? LIMIT 1'
    if (this.#database.get(sql, [endMs]) === null) return
    this.#database.transaction(() =>
      this.#database.append('DELETE FROM used_nonces WHERE valid_to_ms <= ?', [endMs]),
    )
  }

  /** Null unless it is the broker's own and valid. */
  #read(
    nonce: Uint8Array,
    nowMs: number,
  ): { readonly head: Uint8Array; readonly validToMs: number } | null {
    if (nonce.length !== NONCE_BYTES) return null
    const head = Buffer.from(nonce.subarray(0, RANDOM_BYTES + TIME_BYTES))
    if (!timingSafeEqual(this.#macOf(head), nonce.subarray(-MAC_BYTES))) return null
    const validToMs = Number(head.readBigUInt64BE(RANDOM_BYTES))
    return validToMs <= nowMs ? null : { head, validToMs }
  }

  #macOf(head: Uint8Array): Uint8Array {
    return this.#master.sign('nonce', [head])
  }
}
