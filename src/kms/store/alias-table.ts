// Names of keys, `alias/…`. Every row carries a MAC: who can exchange the key behind a name can have
// secrets encrypted under a key of their choice.

import type { Database, Row } from './database.ts'
import type { MasterKey } from './master-key.ts'
import { Recent } from './recent.ts'

/** AWS's quota of names for one key. */
export const MAX_ALIASES = 50

export interface AliasRecord {
  /** With `alias/`. */
  readonly name: string
  readonly keyId: string
  readonly createdMs: number
  readonly updatedMs: number
}

/**
 * The aliases in a store. Reading throws `ERR_KMS_STORE` when a row was changed by another program.
 */
export class AliasTable {
  readonly #database: Database
  readonly #master: MasterKey
  readonly #names: Recent<readonly string[]>

  constructor(database: Database, master: MasterKey) {
    this.#database = database
    this.#master = master
    this.#names = new Recent(() => database.keyVersion)
  }

  find(name: string): AliasRecord | undefined {
    const row = this.#database.get('SELECT * FROM aliases WHERE name = ?', [name])
    return row === null ? undefined : this.#checked({ ...row, name })
  }

  /** Makes a name, or leads it to another key. */
  put(record: AliasRecord): void {
    const columns = columnsOf(record)
    const sql = `INSERT INTO aliases VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
      key_id = excluded.key_id, created_ms = excluded.created_ms,
      updated_ms = excluded.updated_ms, mac = excluded.mac`
    this.#database.run(sql, [...columns, this.#master.sign('aliases', columns)])
  }

  remove(name: string): void {
    this.#database.run('DELETE FROM aliases WHERE name = ?', [name])
  }

  /** Up to `count` names after `after`, in order; of one key, or of all. */
  list(after: string, count: number, keyId: string | null = null): readonly AliasRecord[] {
    const sql = `SELECT * FROM aliases WHERE name > ?1 AND (CAST(?2 AS TEXT) IS NULL OR key_id = ?2)
      ORDER BY name LIMIT ?3`
    return this.#database.all(sql, [after, keyId, count]).map((row) => this.#checked(row))
  }

  /** All names of a key, in order. */
  namesOf(keyId: string): readonly string[] {
    return this.#names.get(keyId, () =>
      this.list('', MAX_ALIASES, keyId).map((record) => record.name),
    )
  }

  #checked(row: Row): AliasRecord {
    const record = {
      name: String(row['name']),
      keyId: String(row['key_id']),
      createdMs: Number(row['created_ms']),
      updatedMs: Number(row['updated_ms']),
    }
    this.#master.checkRow('aliases', columnsOf(record), row['mac'] as Uint8Array)
    return record
  }
}

function columnsOf({ name, keyId, createdMs, updatedMs }: AliasRecord): (string | number)[] {
  return [name, keyId, createdMs, updatedMs]
}
