// The store as the broker uses it: keys, names and the audit log under one master key.

import { AliasTable } from './alias-table.ts'
import { AuditLog } from './audit-log.ts'
import { Database } from './database.ts'
import { GrantTable } from './grant-table.ts'
import { ImportTokens } from './import-tokens.ts'
import { KeyTable } from './key-table.ts'
import { MasterKey, type MasterKeySource } from './master-key.ts'
import { MaterialTable } from './material-table.ts'
import { upgradeKeys } from './upgrade.ts'

/** An open store; disposing of it closes the database and lets another broker open it. */
export class Store implements Disposable {
  readonly keys: KeyTable
  readonly materials: MaterialTable
  readonly aliases: AliasTable
  readonly grants: GrantTable
  readonly importTokens: ImportTokens
  readonly audit: AuditLog
  readonly #database: Database

  private constructor(database: Database, master: MasterKey) {
    this.#database = database
    this.keys = new KeyTable(database, master)
    this.materials = new MaterialTable(database, master)
    this.aliases = new AliasTable(database, master)
    this.grants = new GrantTable(database, master)
    this.importTokens = new ImportTokens(master)
    this.audit = new AuditLog(database)
    upgradeKeys(database, { master, keys: this.keys, materials: this.materials })
  }

  /** @throws ERR_KMS_STORE, ERR_KMS_MASTER_KEY */
  static open(directory: string, source: MasterKeySource): Store {
    const database = Database.open(directory)
    try {
      return new Store(database, MasterKey.open(database, source))
    } catch (error) {
      database.abandon()
      throw error
    }
  }

  /** All of it, or nothing; on the disk when it returns. */
  transaction<T>(work: () => T): T {
    return this.#database.transaction(work)
  }

  /** After a deletion: nothing of it stays in the files. */
  forgetDeleted(): void {
    this.#database.checkpoint()
  }

  /** Closes the store, and removes it when it was made by this opening. */
  abandon(): void {
    this.#database.abandon()
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]()
  }
}
