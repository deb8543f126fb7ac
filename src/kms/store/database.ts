// What the tables need of a database: statements, and transactions that are on the disk when they return. Statements
// are written once, in the part of SQL that SQLite and PostgreSQL share.

/** What a column contains. */
export type Value = number | string | Uint8Array | null
export type Row = Readonly<Record<string, Value>>

/** An open database. Every method throws ERR_KMS_STORE when the database fails. */
export abstract class Database implements Disposable {
  #changes = 0

  /** For messages: a path or an address, without secrets. */
  abstract readonly name: string
  /** Whether this opening made it. */
  abstract readonly isNew: boolean

  abstract get(sql: string, values?: readonly Value[]): Row | null
  abstract all(sql: string, values?: readonly Value[]): readonly Row[]
  abstract hasTable(name: string): boolean
  /** After a deletion, where the database keeps deleted rows elsewhere: removes them there too. */
  abstract forgetDeleted(): void
  /** Writes a complete copy, as SQLite, to a file that does not exist. */
  abstract copyTo(path: string): void
  /** Closes it, and removes it if this opening made it. */
  abstract abandon(): void
  abstract [Symbol.dispose](): void

  protected abstract execute(sql: string, values: readonly Value[]): number
  protected abstract begin(): void
  protected abstract rollBack(): void

  /** How many statements have changed keys, and what belongs to them. */
  get changes(): number {
    return this.#changes
  }

  /** Executes a statement that changes rows; returns how many. */
  run(sql: string, values: readonly Value[] = []): number {
    this.#changes += 1
    return this.execute(sql, values)
  }

  /** The same for what requests leave behind: the audit log, used nonces. */
  append(sql: string, values: readonly Value[] = []): number {
    return this.execute(sql, values)
  }

  /** All of it, or nothing; on the disk when it returns. */
  transaction<T>(work: () => T): T {
    this.begin()
    try {
      const result = work()
      // What is still to come would be outside, and what fails would not undo this.
      if (result instanceof Promise) throw new TypeError('the work of a transaction must not wait')
      this.execute('COMMIT', [])
      return result
    } catch (error) {
      this.rollBack()
      throw error
    }
  }
}
