// What keys are made of: one secret for each key, more for one that was rotated or given more than one. Each
// is wrapped by the master key for its key and number, and its row carries a MAC.

import type { Database, Row, Value } from './database.ts'
import type { KeyRecord } from './key-table.ts'
import type { MasterKey } from './master-key.ts'
import { Recent } from './recent.ts'

/** How a material came to be. */
export type MaterialCause = 'CREATED' | 'ON_DEMAND' | 'AUTOMATIC' | 'IMPORTED'

/** One material of a key, without the secret. Times are milliseconds since the epoch. */
export interface MaterialRecord {
  readonly keyId: string
  /** 1 for the first of a key. */
  readonly number: number
  /** AWS's KeyMaterialId: 64 hexadecimal digits, the same for the same secret in the same key. */
  readonly id: string
  readonly createdMs: number
  readonly cause: MaterialCause
  readonly description: string
  /** When imported material expires. */
  readonly validToMs: number | null
  /** Null while imported material is deleted. */
  readonly wrapped: Uint8Array | null
}

/** What a new material is given. */
export type NewMaterial = Pick<MaterialRecord, 'keyId' | 'number' | 'createdMs' | 'cause'> &
  Partial<Pick<MaterialRecord, 'description' | 'validToMs'>>

const COLUMNS = [
  ...['key_id', 'number', 'id', 'created_ms', 'cause', 'description', 'valid_to_ms', 'wrapped'],
]
const ALL = [...COLUMNS, 'mac'].join(', ')
const PUT = `INSERT INTO materials (${ALL}) VALUES (?,?,?,?,?,?,?,?,?)
  ON CONFLICT (key_id, number) DO UPDATE SET ${[...COLUMNS, 'mac'].map((name) => `${name} = excluded.${name}`).join(', ')}`

/**
 * The materials in a store. Reading throws `ERR_KMS_STORE` when a row was changed by another program.
 */
export class MaterialTable {
  readonly #database: Database
  readonly #master: MasterKey
  readonly #recent: Recent<MaterialRecord | undefined>
  readonly #secrets: Recent<Uint8Array | undefined>

  constructor(database: Database, master: MasterKey) {
    this.#database = database
    this.#master = master
    this.#recent = new Recent(() => database.keyVersion)
    this.#secrets = new Recent(() => database.keyVersion)
  }

  /** Adds a secret to a key. */
  add(secret: Uint8Array, fields: NewMaterial): MaterialRecord {
    const { keyId, number } = fields
    const record = {
      ...{ description: '', validToMs: null, ...fields },
      id: this.idOf(keyId, secret),
      wrapped: this.#master.wrap(secret, bindingOf(keyId, number)),
    }
    this.put(record)
    return record
  }

  /** The id that this secret has in a key. */
  idOf(keyId: string, secret: Uint8Array): string {
    return Buffer.from(this.#master.sign('material id', [keyId, secret])).toString('hex')
  }

  put(record: MaterialRecord): void {
    const values = valuesOf(record)
    this.#database.run(PUT, [...values, this.#master.sign('materials', values)])
  }

  find(keyId: string, number: number): MaterialRecord | undefined {
    return this.#recent.get(bindingOf(keyId, number), () => this.#read(keyId, number))
  }

  #read(keyId: string, number: number): MaterialRecord | undefined {
    const sql = `SELECT ${ALL} FROM materials WHERE key_id = ? AND number = ?`
    const row = this.#database.get(sql, [keyId, number])
    return row === null ? undefined : this.#checked({ ...row, key_id: keyId, number })
  }

  /** The material of a key that has this id. */
  withId(keyId: string, id: string): MaterialRecord | undefined {
    const sql = `SELECT ${ALL} FROM materials WHERE key_id = ? AND id = ?`
    const row = this.#database.get(sql, [keyId, id])
    return row === null ? undefined : this.#checked({ ...row, key_id: keyId, id })
  }

  remove(keyId: string, number: number): void {
    this.#database.run('DELETE FROM materials WHERE key_id = ? AND number = ?', [keyId, number])
  }

  /** Keys with imported material whose time is over. */
  expired(nowMs: number): readonly string[] {
    // Not DISTINCT, for which SQLite would look at all materials in the order of their keys.
    const sql = 'SELECT key_id FROM materials WHERE valid_to_ms <= ?'
    const ids = this.#database.all(sql, [nowMs]).map((row) => String(row['key_id']))
    return [...new Set(ids)]
  }

  /** When the next imported material expires, in milliseconds since the epoch; Infinity for never. */
  nextEndMs(): number {
    const sql = 'SELECT min(valid_to_ms) AS next FROM materials WHERE valid_to_ms IS NOT NULL'
    return Number(this.#database.get(sql)?.['next'] ?? Infinity)
  }

  /** The number of the last material; 0 when there is none. */
  last(keyId: string): number {
    const sql = 'SELECT max(number) AS last FROM materials WHERE key_id = ?'
    return Number(this.#database.get(sql, [keyId])?.['last'] ?? 0)
  }

  /** Up to `count` materials of a key with numbers after `after`, in order. */
  list(keyId: string, after: number, count: number): readonly MaterialRecord[] {
    const sql = `SELECT ${ALL} FROM materials WHERE key_id = ? AND number > ? ORDER BY number LIMIT ?`
    const rows = this.#database.all(sql, [keyId, after, count])
    return rows.map((row) => this.#checked({ ...row, key_id: keyId }))
  }

  /** Whether material that a key has used has expired. */
  hasExpired({ id, material }: Pick<KeyRecord, 'id' | 'material'>, nowMs: number): boolean {
    const sql = 'SELECT 1 FROM materials WHERE key_id = ? AND number <= ? AND valid_to_ms <= ?'
    return this.#database.get(sql, [id, material, nowMs]) !== null
  }

  /** The secret; undefined when the key has no such material, or it is deleted. */
  secret(keyId: string, number: number): Uint8Array | undefined {
    const binding = bindingOf(keyId, number)
    return this.#secrets.get(binding, () => {
      const wrapped = this.find(keyId, number)?.wrapped
      return wrapped ? this.#master.unwrap(wrapped, binding) : undefined
    })
  }

  #checked(row: Row): MaterialRecord {
    const record = recordOf(row)
    this.#master.checkRow('materials', valuesOf(record), row['mac'] as Uint8Array)
    return record
  }
}

function bindingOf(keyId: string, number: number): string {
  return `key ${keyId} material ${String(number)}`
}

function valuesOf(record: MaterialRecord): Value[] {
  const { keyId, number, id, createdMs, cause, description, validToMs, wrapped } = record
  return [keyId, number, id, createdMs, cause, description, validToMs, wrapped]
}

function recordOf(row: Row): MaterialRecord {
  const validTo = row['valid_to_ms'] ?? null
  return {
    keyId: String(row['key_id']),
    number: Number(row['number']),
    id: String(row['id']),
    createdMs: Number(row['created_ms']),
    cause: String(row['cause']) as MaterialCause,
    description: String(row['description']),
    validToMs: validTo === null ? null : Number(validTo),
    wrapped: (row['wrapped'] ?? null) as Uint8Array | null,
  }
}
