// A store in PostgreSQL, which several brokers share. Operations are written for a database that answers at once, so this
// one waits for a thread that talks to PostgreSQL (postgres-worker.ts). Writing transactions of all brokers take turns, by
// an advisory lock: each continues the one audit log.

import { randomBytes } from 'node:crypto'
import { check, CloisterError } from '../errors.ts'
import {
  parsePostgresAddress,
  PostgresThread,
  type PostgresAddress,
  type PostgresReply,
  type PostgresRequest,
} from './postgres-thread.ts'
import { Database, type Row, type Value } from './store/database.ts'
import { writeMeta } from './store/meta-table.ts'
import { migrationsFor } from './store/schema.ts'

const CODE = 'ERR_KMS_STORE'
const HINT = 'Check that the server runs, and that this user may connect to it and create tables.'
/** After a failure to connect, or an answer that did not come, requests fail at once for this long. */
const PAUSE_MS = 1000
const BEGIN = `BEGIN; SELECT pg_advisory_xact_lock(1668639597, hashtext(current_schema()))`
/** Another value after each change, by which every broker notices those of the others. */
const GENERATION = 'generation'

export class PostgresDatabase extends Database {
  readonly name: string
  readonly isNew = false
  readonly #address: PostgresAddress
  #thread: PostgresThread
  readonly #translated = new Map<string, string>()
  #inTransaction = false
  #begun = { count: 0, changes: 0 }
  /** Null until the tables are there. */
  #generation: string | null = null
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
      database.#generation = ''
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

  /** Others may use it: nothing is removed. */
  abandon(): void {
    this[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.#thread[Symbol.dispose]()
  }

  /** Outside of a transaction, another broker may change something at any time. */
  override get keyVersion(): number {
    return this.isInTransaction ? super.keyVersion : Number.NaN
  }

  override get logVersion(): number {
    return super.logVersion + this.#begun.count
  }

  protected get isInTransaction(): boolean {
    return this.#inTransaction && !this.#isLost
  }

  protected execute(sql: string, values: readonly Value[]): number {
    return this.#ask(this.#translate(sql), values).changes
  }

  protected begin(): void {
    const wasConnected = !this.#isLost
    try {
      this.#begin()
    } catch (error) {
      // Nothing was done on the connection that turned out to be lost.
      if (!wasConnected || !this.#isLost) throw error
      this.#begin()
    }
    this.#inTransaction = true
  }

  protected commit(): void {
    if (this.changes !== this.#begun.changes) this.#setGeneration()
    this.execute('COMMIT', [])
    this.#inTransaction = false
  }

  protected rollBack(): void {
    if (!this.#inTransaction) return
    this.#inTransaction = false
    // A transaction whose connection is lost has ended.
    if (!this.#isLost) this.#ask('ROLLBACK', [])
  }

  /** PostgreSQL removes deleted rows by vacuum, when it chooses to. */
  protected removeDeleted(): void {
    return undefined
  }

  protected copy(): never {
    throw new CloisterError('ERR_KMS_BACKUP', `${this.name} is not in a file`, {
      hint: 'Use pg_dump.',
    })
  }

  #begin(): void {
    const isReady = this.#generation !== null
    const sql = `${BEGIN}; SELECT value FROM meta WHERE name = '${GENERATION}'`
    const { rows } = this.#ask(isReady ? sql : BEGIN, [])
    const value = rows[0]?.['value']
    const generation = value instanceof Uint8Array ? Buffer.from(value).toString('hex') : ''
    if (isReady && generation !== this.#generation) {
      this.#generation = generation
      this.forget()
    }
    this.#begun = { count: this.#begun.count + 1, changes: this.changes }
  }

  #setGeneration(): void {
    const generation = randomBytes(16)
    writeMeta(this, GENERATION, generation)
    this.#generation = generation.toString('hex')
  }

  #ask(sql: string, values: readonly Value[]): PostgresReply {
    const wasLost = this.#isLost
    const isPaused = wasLost && Math.abs(Date.now() - this.#failed.atMs) < PAUSE_MS
    const request: PostgresRequest = { sql, values, mayConnect: !this.#inTransaction }
    const reply = isPaused ? this.#refusal() : this.#send(request)
    const { failure: reason, isLost = false, isLate = false } = reply
    this.#isLost = isLost
    if (reason === undefined) return reply
    this.spoil()
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
