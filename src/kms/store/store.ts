// The store as the broker uses it: keys, names and the audit log under one master key.

import { keepRoots, readRoots } from './accepted-roots.ts'
import { AliasTable } from './alias-table.ts'
import { AuditLog } from './audit-log.ts'
import type { Database } from './database.ts'
import { GrantTable } from './grant-table.ts'
import { GroupCommit } from './group-commit.ts'
import { ImportTokens } from './import-tokens.ts'
import { KeyTable } from './key-table.ts'
import { MasterKey, type MasterSecret } from './master-key.ts'
import { MaterialTable } from './material-table.ts'
import { readMeta, writeMeta } from './meta-table.ts'
import { NonceTable } from './nonce-table.ts'
import { ResponseKey } from './response-key.ts'
import { SqliteDatabase } from './sqlite.ts'
import { upgradeKeys } from './upgrade.ts'

const EPOCH = 'epoch'
const PAGE = 500

interface StoreKeys {
  readonly master: MasterKey
  readonly responseKey: ResponseKey
}

/** An open store; disposing of it closes the database and lets another broker open it. */
export class Store implements Disposable {
  readonly keys: KeyTable
  readonly materials: MaterialTable
  readonly aliases: AliasTable
  readonly grants: GrantTable
  readonly importTokens: ImportTokens
  readonly nonces: NonceTable
  readonly audit: AuditLog
  readonly responseKey: ResponseKey
  readonly #database: Database
  readonly #master: MasterKey
  readonly #groups: GroupCommit

  private constructor(database: Database, { master, responseKey }: StoreKeys) {
    this.#database = database
    this.#master = master
    this.responseKey = responseKey
    this.#groups = new GroupCommit(database)
    this.keys = new KeyTable(database, master)
    this.materials = new MaterialTable(database, master)
    this.aliases = new AliasTable(database, master)
    this.grants = new GrantTable(database, master)
    this.importTokens = new ImportTokens(master)
    this.nonces = new NonceTable(database, master)
    this.audit = new AuditLog(database)
    upgradeKeys(database, { master, keys: this.keys, materials: this.materials })
  }

  /** @throws ERR_KMS_STORE, ERR_KMS_MASTER_KEY */
  static open(directory: string, source: MasterSecret): Store {
    const database = SqliteDatabase.open(directory)
    try {
      return Store.over(database, source)
    } catch (error) {
      database.abandon()
      throw error
    }
  }

  /**
   * The store in an open database.
   * @throws ERR_KMS_STORE, ERR_KMS_MASTER_KEY
   */
  static over(database: Database, source: MasterSecret): Store {
    // A transaction: another broker may open the same new store.
    const keys = database.transaction(() => {
      const master = MasterKey.open(database, source)
      return { master, responseKey: ResponseKey.open(database, master) }
    })
    return new Store(database, keys)
  }

  /** How many statements have changed keys, and what belongs to them. */
  get changes(): number {
    return this.#database.changes
  }

  /** Whether nothing was ever done in it. */
  get isEmpty(): boolean {
    return this.audit.length === 0 && this.keys.list('', 1).length === 0
  }

  /** The value of the TPM's counter that the store belongs to; null when it says none, or not of this counter. */
  epoch(counter: number): bigint | null {
    const stored = readMeta(this.#database, EPOCH)
    if (stored === null) return null
    const value = Buffer.from(stored).readBigUInt64BE()
    this.#master.checkRow('meta', [EPOCH, counter, String(value)], stored.subarray(8))
    return value
  }

  setEpoch(counter: number, value: bigint): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(value)
    const mac = this.#master.sign('meta', [EPOCH, counter, String(value)])
    this.transaction(() => {
      writeMeta(this.#database, EPOCH, Buffer.concat([bytes, mac]))
    })
  }

  /**
   * Checks that a broker accepts the roots that all brokers of this store accept, or with `isChange` remembers them.
   * @throws ERR_KMS_ROOTS
   */
  keepRoots(roots: readonly string[], isChange: boolean): void {
    const place = { database: this.#database, master: this.#master }
    this.transaction(() => {
      keepRoots(place, roots, isChange)
    })
  }

  /** All of it, or nothing; on the disk when it returns. */
  transaction<T>(work: () => T): T {
    return this.#database.transaction(work)
  }

  /**
   * All of it, or nothing, in one transaction with what others do at the same time; on the disk when the promise resolves.
   */
  async step<T>(work: () => T): Promise<T> {
    return await this.#groups.step(work)
  }

  /** What steps have done so far is on the disk when it returns. */
  settle(): void {
    this.#database.settle()
  }

  /** After a deletion: nothing of it stays in the files. */
  forgetDeleted(): void {
    this.#database.forgetDeleted()
  }

  /** Writes a complete copy to a file that does not exist. */
  copyTo(path: string): void {
    this.#database.copyTo(path)
  }

  /**
   * Reads every row, and checks that it is as the broker wrote it; how many keys there are.
   * @throws ERR_KMS_STORE
   */
  checkRows(): number {
    let count = 0
    readRoots(this.#database, this.#master)
    for (const id of pages(
      (after) => this.keys.list(after, PAGE),
      (one) => one,
    )) {
      const key = this.keys.find(id)
      const materials = this.materials.list(id, 0, Number.MAX_SAFE_INTEGER)
      for (const { number } of materials) this.materials.secret(id, number)
      this.grants.ofKey(id, { after: '', count: Number.MAX_SAFE_INTEGER })
      if (key !== undefined) count += 1
    }
    for (const _ of pages(
      (after) => this.aliases.list(after, PAGE),
      ({ name }) => name,
    ));
    return count
  }

  /** Closes the store, and removes it when it was made by this opening. */
  abandon(): void {
    this.#database.abandon()
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]()
  }
}

/** All of a list that comes in pages. */
function* pages<T>(
  read: (after: string) => readonly T[],
  nameOf: (one: T) => string,
): Generator<T> {
  let after = ''
  for (;;) {
    const page = read(after)
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = nameOf(last)
  }
}
