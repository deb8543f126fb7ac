// A store in PostgreSQL, which several brokers share. Operations are written for a database that answers at once, so this
// one waits for a thread that talks to PostgreSQL (postgres-worker.ts). Writing transactions of all brokers take turns, by
// an advisory lock: each continues the one audit log.

import { check, CloisterError } from '../errors.ts'
import {
  parsePostgresAddress,
  PostgresThread,
  type PostgresAddress,
  type PostgresReply,
  type PostgresRequest,
} from './postgres-thread.ts'
import { Database, type Row, type Value } from './store/database.ts'
import { migrationsFor } from './store/schema.ts'

const CODE = 'ERR_KMS_STORE'
const HINT = 'Check that the server runs, and that this user may connect to it and create tables.'
/** After a failure to connect, or an answer that did not come, requests fail at once for this long. */
const PAUSE_MS = 1000
const BEGIN = `BEGIN; SELECT pg_advisory_xact_lock(1668639597, hashtext(current_schema()))`

export class PostgresDatabase extends Database {
  readonly name: string
  readonly isNew = false
  readonly #address: PostgresAddress
  #thread: PostgresThread
  readonly #translated = new Map<string, string>()
  #inTransaction = false
  #isLost = true
  #failed = { atMs: -Infinity, reason: '' }

  private constructor(url: string) {
    super()
    this.name = nameOf(url)
    this.#address = parsePostgresAddress(url)
    this.#thread = new PostgresThread(this.#address)
  }

  /**
   * Connects, and makes the tables that are missing.
   * @throws ERR_KMS_STORE
   */
  static open(url: string): PostgresDatabase {
    const database = new PostgresDatabase(url)
    try {
      database.#migrate()
      return database
    } catch (error) {
      database[Symbol.dispose]()
      throw error
    }
  }

  get(sql: string, values: readonly Value[] = []): Row | null {
    return this.all(sql, values)[0] ?? null
  }

  all(sql: string, values: readonly Value[] = []): readonly Row[] {
    return this.#ask(this.#translate(sql), values).rows
  }

  /** Not by to_regclass, which may not have noticed yet what another broker has just dropped. */
  hasTable(name: string): boolean {
    const sql =
      'SELECT 1 AS found FROM pg_tables WHERE schemaname = current_schema() AND tablename = ?'
    return this.get(sql, [name]) !== null
  }

  /** PostgreSQL removes deleted rows by vacuum, when it chooses to. */
  forgetDeleted(): void {
    return undefined
  }

  copyTo(): never {
    throw new CloisterError('ERR_KMS_BACKUP', `${this.name} is not in a file`, {
      hint: 'Use pg_dump.',
    })
  }

  /** Others may use it: nothing is removed. */
  abandon(): void {
    this[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.#thread[Symbol.dispose]()
  }

  protected execute(sql: string, values: readonly Value[]): number {
    const { changes } = this.#ask(this.#translate(sql), values)
    if (sql === 'COMMIT') this.#inTransaction = false
    return changes
  }

  protected begin(): void {
    const wasConnected = !this.#isLost
    try {
      this.#ask(BEGIN, [])
    } catch (error) {
      // Nothing was done on the connection that turned out to be lost.
      if (!wasConnected || !this.#isLost) throw error
      this.#ask(BEGIN, [])
    }
    this.#inTransaction = true
  }

  protected rollBack(): void {
    if (!this.#inTransaction) return
    this.#inTransaction = false
    // A transaction whose connection is lost has ended.
    if (!this.#isLost) this.#ask('ROLLBACK', [])
  }

  #ask(sql: string, values: readonly Value[]): PostgresReply {
    const wasLost = this.#isLost
    const isPaused = wasLost && Math.abs(Date.now() - this.#failed.atMs) < PAUSE_MS
    const request: PostgresRequest = { sql, values, mayConnect: !this.#inTransaction }
    const reply = isPaused ? this.#refusal() : this.#send(request)
    const { failure: reason, isLost = false, isLate = false } = reply
    this.#isLost = isLost
    if (reason === undefined) return reply
    if (isLate || (wasLost && isLost && !isPaused)) this.#failed = { atMs: Date.now(), reason }
    throw new CloisterError(CODE, `the store ${this.name} fails: ${reason}`, { hint: HINT })
  }

  #refusal(): PostgresReply {
    return { rows: [], changes: 0, failure: this.#failed.reason, isLost: true }
  }

  #send(request: PostgresRequest): PostgresReply {
    if (this.#thread.hasEnded) this.#thread = new PostgresThread(this.#address)
    return this.#thread.ask(request)
  }

  #migrate(): void {
    const migrations = migrationsFor('postgres')
    this.transaction(() => {
      this.#ask('CREATE TABLE IF NOT EXISTS cloister_kms (version BIGINT NOT NULL)', [])
      const found = this.get('SELECT version FROM cloister_kms')?.['version'] ?? null
      const version = Number(found ?? 0)
      check(
        version <= migrations.length,
        CODE,
        `${this.name} was made by a later version of Cloister`,
      )
      if (version === migrations.length) return
      for (const statement of migrations.slice(version).flat()) this.#ask(statement, [])
      const sql =
        found === null
          ? 'INSERT INTO cloister_kms VALUES (?)'
          : 'UPDATE cloister_kms SET version = ?'
      this.execute(sql, [migrations.length])
    })
  }

  /** `?` and `?1` are `$1` in PostgreSQL. */
  #translate(sql: string): string {
    const known = this.#translated.get(sql)
    if (known !== undefined) return known
    let last = 0
    const translated = sql.replace(/\?(\d*)/g, (_, digits: string) => {
      last = digits === '' ? last + 1 : Number(digits)
      return `$${String(last)}`
    })
    this.#translated.set(sql, translated)
    return translated
  }
}

/** Without user and password. */
function nameOf(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
