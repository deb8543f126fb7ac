// Keys: what is known of them. A row carries a MAC, so that a policy or a state that somebody else wrote into
// the file is noticed. The MAC is checked for the id that was asked for. What a key is made of is in material-table.ts.

import { randomUUID } from 'node:crypto'
import { KEY_SPECS, KEY_USAGES, type KeySpec, type KeyUsage } from '../crypto/key-specs.ts'
import type { Database, Row, Value } from './database.ts'
import type { MasterKey } from './master-key.ts'
import { Recent } from './recent.ts'

/** Where the material of a key comes from. */
export type KeyOrigin = 'AWS_KMS' | 'EXTERNAL'

/** A key without its material. Times are milliseconds since the epoch. */
export interface KeyRecord {
  /** UUID. */
  readonly id: string
  readonly createdMs: number
  readonly description: string
  readonly enabled: boolean
  /** JSON. */
  readonly policy: string
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly origin: KeyOrigin
  /** DER SubjectPublicKeyInfo; null for symmetric and HMAC keys, and before material is imported. */
  readonly publicKey: Uint8Array | null
  /** The number of the material that encrypts; 0 before there is any. */
  readonly material: number
  /** Whether imported material is missing, or was never there. */
  readonly pendingImport: boolean
  /** When the key is deleted; null when it is not to be. */
  readonly deletionMs: number | null
  /** The period of automatic rotation; null when it is off. */
  readonly rotationDays: number | null
  readonly nextRotationMs: number | null
  readonly tags: KeyTags
}

/** Values by name. */
export type KeyTags = Readonly<Record<string, string>>

/** What a new key is given. */
export type NewKey = Pick<
  KeyRecord,
  'description' | 'policy' | 'spec' | 'usage' | 'origin' | 'publicKey'
> &
  Partial<Pick<KeyRecord, 'tags'>>

/** Ids of keys for which it is time. */
export interface Due {
  readonly deletion: readonly string[]
  readonly rotation: readonly string[]
}

const COLUMNS = [
  ...['id', 'created_ms', 'description', 'enabled', 'policy', 'spec', 'usage', 'origin'],
  ...['public_key', 'material', 'pending_import', 'deletion_ms', 'rotation_days'],
  ...['next_rotation_ms', 'tags'],
] as const
const ALL = [...COLUMNS, 'mac']
const PUT = `INSERT INTO keys (${ALL.join(', ')}) VALUES (${ALL.map(() => '?').join(', ')})
  ON CONFLICT (id) DO UPDATE SET ${ALL.map((name) => `${name} = excluded.${name}`).join(', ')}`

/**
 * The keys in a store. Reading throws `ERR_KMS_STORE` when a row was changed by another program.
 */
export class KeyTable {
  readonly #database: Database
  readonly #master: MasterKey
  readonly #recent: Recent<KeyRecord | undefined>

  constructor(database: Database, master: MasterKey) {
    this.#database = database
    this.#master = master
    const policyBytes = (key: KeyRecord | undefined): number => key?.policy.length ?? 0
    this.#recent = new Recent(() => database.keyVersion, policyBytes)
  }

  /** Makes a key without material. */
  create(fields: NewKey, nowMs: number): KeyRecord {
    const record = {
      ...{ id: randomUUID(), createdMs: nowMs, enabled: true, material: 0, tags: {}, ...fields },
      pendingImport: fields.origin === 'EXTERNAL',
      ...{ deletionMs: null, rotationDays: null, nextRotationMs: null },
    }
    this.put(record)
    return record
  }

  find(id: string): KeyRecord | undefined {
    return this.#recent.get(id, () => this.#read(id))
  }

  #read(id: string): KeyRecord | undefined {
    const row = this.#database.get(`SELECT ${ALL.join(', ')} FROM keys WHERE id = ?`, [id])
    if (row === null) return undefined
    const record = recordOf({ ...row, id })
    this.#master.checkRow('keys', signedOf(valuesOf(record)), row['mac'] as Uint8Array)
    return record
  }

  /** Up to `count` ids after `after`, in order. */
  list(after: string, count: number): readonly string[] {
    const sql = 'SELECT id FROM keys WHERE id > ? ORDER BY id LIMIT ?'
    return this.#database.all(sql, [after, count]).map((row) => String(row['id']))
  }

  /** Keys whose time to be deleted has come, and usable keys to be rotated: others wait. */
  due(nowMs: number): Due {
    const ids = (condition: string): readonly string[] =>
      this.#database
        .all(`SELECT id FROM keys WHERE ${condition}`, [nowMs])
        .map((row) => String(row['id']))
    return {
      deletion: ids('deletion_ms <= ?'),
      rotation: ids('next_rotation_ms <= ? AND enabled = 1 AND deletion_ms IS NULL'),
    }
  }

  /** When it is time for the next one, in milliseconds since the epoch; Infinity for never. */
  nextDueMs(): number {
    // Each by its index: with many keys, a look at all of them would be noticed.
    const first = (column: string, condition: string): number => {
      const sql = `SELECT ${column} AS next FROM keys WHERE ${column} IS NOT NULL ${condition}
        ORDER BY ${column} LIMIT 1`
      return Number(this.#database.get(sql)?.['next'] ?? Infinity)
    }
    const rotation = first('next_rotation_ms', 'AND enabled = 1 AND deletion_ms IS NULL')
    return Math.min(first('deletion_ms', ''), rotation)
  }

  /** Removes a key and all that is its own. */
  remove(id: string): void {
    this.#database.run('DELETE FROM grants WHERE key_id = ?', [id])
    this.#database.run('DELETE FROM aliases WHERE key_id = ?', [id])
    this.#database.run('DELETE FROM materials WHERE key_id = ?', [id])
    this.#database.run('DELETE FROM keys WHERE id = ?', [id])
  }

  /** Writes a key, new or changed. */
  put(record: KeyRecord): void {
    const values = valuesOf(record)
    this.#database.run(PUT, [...values, this.#master.sign('keys', signedOf(values))])
  }
}

/** In the order of the columns. */
function valuesOf(record: KeyRecord): Value[] {
  const { id, createdMs, description, enabled, policy, spec, usage, origin } = record
  const { publicKey, material, pendingImport, deletionMs } = record
  return [
    ...[id, createdMs, description, Number(enabled), policy, spec, usage, origin],
    ...[publicKey, material, Number(pendingImport), deletionMs],
    ...[record.rotationDays, record.nextRotationMs, tagsText(record.tags)],
  ]
}

/** Empty for none. */
function tagsText(tags: KeyTags): string {
  return Object.keys(tags).length === 0 ? '' : JSON.stringify(tags)
}

/** What the MAC covers. Rows of before there were tags have none, and no column for them. */
function signedOf(values: readonly Value[]): readonly Value[] {
  return values.at(-1) === '' ? values.slice(0, -1) : values
}

function recordOf(row: Row): KeyRecord {
  const number = (name: string): number | null => {
    const value = row[name] ?? null
    return value === null ? null : Number(value)
  }
  return {
    id: String(row['id']),
    createdMs: Number(row['created_ms']),
    description: String(row['description']),
    enabled: row['enabled'] === 1,
    policy: String(row['policy']),
    spec: KEY_SPECS.find((one) => one === row['spec']) ?? 'SYMMETRIC_DEFAULT',
    usage: KEY_USAGES.find((one) => one === row['usage']) ?? 'ENCRYPT_DECRYPT',
    origin: row['origin'] === 'EXTERNAL' ? 'EXTERNAL' : 'AWS_KMS',
    publicKey: (row['public_key'] ?? null) as Uint8Array | null,
    material: Number(row['material']),
    pendingImport: row['pending_import'] === 1,
    deletionMs: number('deletion_ms'),
    rotationDays: number('rotation_days'),
    nextRotationMs: number('next_rotation_ms'),
    tags: row['tags'] === '' ? {} : (JSON.parse(String(row['tags'])) as KeyTags),
  }
}
