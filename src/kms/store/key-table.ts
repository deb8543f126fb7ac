// The keys of the broker. Material is wrapped; every row carries a MAC of all its columns.

import { randomBytes, randomUUID } from 'node:crypto'
import type { Database, Row } from './database.ts'
import type { MasterKey } from './master-key.ts'

/** A symmetric key. */
export interface KeyRecord {
  /** UUID. */
  readonly id: string
  readonly createdMs: number
  readonly description: string
  readonly enabled: boolean
  /** JSON, as it was put. */
  readonly policy: string
}

const COLUMNS = 'id, created_ms, description, enabled, policy, material, mac'
const MATERIAL_BYTES = 32

/**
 * The keys in a store. Reading throws `ERR_KMS_STORE` when a row was changed by another program.
 */
export class KeyTable {
  readonly #database: Database
  readonly #master: MasterKey

  constructor(database: Database, master: MasterKey) {
    this.#database = database
    this.#master = master
  }

  create(fields: Pick<KeyRecord, 'description' | 'policy'>, nowMs: number): KeyRecord {
    const record = { id: randomUUID(), createdMs: nowMs, enabled: true, ...fields }
    const material = this.#master.wrap(randomBytes(MATERIAL_BYTES), bindingOf(record.id))
    this.#database.run(`INSERT INTO keys (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)`, [
      ...columnsOf(record),
      material,
      this.#macOf(record, material),
    ])
    return record
  }

  find(id: string): KeyRecord | undefined {
    const row = this.#rowOf(id)
    return row && recordOf(row)
  }

  /** 32 bytes. */
  material(id: string): Uint8Array {
    const row = this.#rowOf(id)
    if (row === undefined) throw new RangeError(`no key ${id}`)
    return this.#master.unwrap(row['material'] as Uint8Array, bindingOf(id))
  }

  /** Up to `count` keys with ids after `after`, in order. */
  list(after: string, count: number): readonly string[] {
    const sql = 'SELECT id FROM keys WHERE id > ? ORDER BY id LIMIT ?'
    return this.#database.all(sql, [after, count]).map((row) => String(row['id']))
  }

  /** Changes a key's state, description or policy. */
  update(record: KeyRecord): void {
    const material = this.#rowOf(record.id)?.['material'] as Uint8Array
    const { id, description, enabled, policy } = record
    this.#database.run(
      'UPDATE keys SET description = ?, enabled = ?, policy = ?, mac = ? WHERE id = ?',
      [description, Number(enabled), policy, this.#macOf(record, material), id],
    )
  }

  #rowOf(id: string): Row | undefined {
    const row = this.#database.get(`SELECT ${COLUMNS} FROM keys WHERE id = ?`, [id])
    if (row === null) return undefined
    const material = row['material'] as Uint8Array
    this.#master.checkRow('keys', [...columnsOf(recordOf(row)), material], row['mac'] as Uint8Array)
    return row
  }

  #macOf(record: KeyRecord, material: Uint8Array): Uint8Array {
    return this.#master.sign('keys', [...columnsOf(record), material])
  }
}

function columnsOf({
  id,
  createdMs,
  description,
  enabled,
  policy,
}: KeyRecord): (string | number)[] {
  return [id, createdMs, description, Number(enabled), policy]
}

function recordOf(row: Row): KeyRecord {
  return {
    id: String(row['id']),
    createdMs: Number(row['created_ms']),
    description: String(row['description']),
    enabled: row['enabled'] === 1,
    policy: String(row['policy']),
  }
}

function bindingOf(id: string): string {
  return `key ${id}`
}
