// What the tables need of a database: statements, and transactions that are on the disk when they return. Statements
// are written once, in the part of SQL that SQLite and PostgreSQL share.

import { check } from '../../errors.ts'

/** What a column contains. */
export type Value = number | string | Uint8Array | null
export type Row = Readonly<Record<string, Value>>

/** An open database. Every method throws ERR_KMS_STORE when the database fails. */
export abstract class Database implements Disposable {
  #changes = 0
  #undone = 0
  /** Within a step: whether it has written anything yet. */
  #step: 'clean' | 'written' | null = null
  /** Ends the transaction of steps that is open, if there is one. */
  #endSteps: (() => void) | null = null
  #isSpoiled = false

  /** For messages: a path or an address, without secrets. */
  abstract readonly name: string
  /** Whether this opening made it. */
  abstract readonly isNew: boolean

  abstract get(sql: string, values?: readonly Value[]): Row | null
  abstract all(sql: string, values?: readonly Value[]): readonly Row[]
  abstract hasTable(name: string): boolean
  /** Closes it, and removes it if this opening made it. */
  abstract abandon(): void
  abstract [Symbol.dispose](): void

  /** Whether the transaction that was begun is still there. */
  protected abstract get isInTransaction(): boolean
  protected abstract execute(sql: string, values: readonly Value[]): number
  protected abstract begin(): void
  protected abstract commit(): void
  protected abstract rollBack(): void
  protected abstract removeDeleted(): void
  protected abstract copy(path: string): void

  /** How many statements have changed keys, and what belongs to them. */
  get changes(): number {
    return this.#changes
  }

  /** While it stays the same, what was read of keys and what belongs to them is still so. */
  get keyVersion(): number {
    return this.#changes + this.#undone
  }

  /** The same for the end of the audit log, as far as nothing was appended here. */
  get logVersion(): number {
    return this.#undone
  }

  /** Whether everything since the transaction was begun can be committed. */
  get canCommit(): boolean {
    return this.isInTransaction && !this.#isSpoiled
  }

  /** Executes a statement that changes rows; returns how many. */
  run(sql: string, values: readonly Value[] = []): number {
    this.#changes += 1
    return this.append(sql, values)
  }

  /** The same for what requests leave behind: the audit log, used nonces. */
  append(sql: string, values: readonly Value[] = []): number {
    if (this.#step === 'clean') {
      this.execute('SAVEPOINT step', [])
      this.#step = 'written'
    }
    return this.execute(sql, values)
  }

  /** All of it, or nothing; on the disk when it returns. A transaction of steps that is open is ended first. */
  transaction<T>(work: () => T): T {
    this.settle()
    this.#start()
    try {
      const result = work()
      // What is still to come would be outside, and what fails would not undo this.
      if (result instanceof Promise) throw new TypeError('the work of a transaction must not wait')
      this.commit()
      return result
    } catch (error) {
      this.#undo()
      throw error
    }
  }

  /** Begins a transaction of steps. {@link settle} ends it by calling `end`, which calls {@link commitSteps}. */
  beginSteps(end: () => void): void {
    this.#start()
    this.#endSteps = end
  }

  /** Work within it: all of it, or nothing. Unless `canCommit`, the steps before it are lost, too. */
  step<T>(work: () => T): T {
    this.#step = 'clean'
    try {
      const result = work()
      if (result instanceof Promise) throw new TypeError('the work of a step must not wait')
      if (this.#hasWritten()) this.execute('RELEASE step', [])
      return result
    } catch (error) {
      if (this.#hasWritten()) this.#undoStep()
      throw error
    } finally {
      this.#step = null
    }
  }

  /** Ends the transaction of steps: on the disk when it returns, all undone when it throws. */
  commitSteps(): void {
    this.#endSteps = null
    try {
      check(this.canCommit, 'ERR_KMS_STORE', `the store ${this.name} lost a transaction`)
      this.commit()
    } catch (error) {
      this.#undo()
      throw error
    }
  }

  /** Commits the transaction of steps, if one is open. */
  settle(): void {
    if (this.#step !== null) throw new RangeError('a step is not finished')
    this.#endSteps?.()
  }

  /** After a deletion, where the database keeps deleted rows elsewhere: removes them there too. */
  forgetDeleted(): void {
    this.settle()
    this.removeDeleted()
  }

  /** Writes a complete copy, as SQLite, to a file that does not exist. */
  copyTo(path: string): void {
    this.settle()
    this.copy(path)
  }

  /** What was read before may be different now. */
  protected forget(): void {
    this.#undone += 1
  }

  /** A statement failed, and took what was done since the last savepoint with it. */
  protected spoil(): void {
    this.#isSpoiled = true
  }

  #start(): void {
    this.#isSpoiled = false
    this.begin()
  }

  #hasWritten(): boolean {
    return this.#step === 'written'
  }

  #undoStep(): void {
    this.forget()
    if (!this.isInTransaction) return
    this.#isSpoiled = true
    this.execute('ROLLBACK TO step', [])
    this.execute('RELEASE step', [])
    this.#isSpoiled = false
  }

  #undo(): void {
    this.forget()
    this.rollBack()
  }
}
