// Moves the keys of a version-1 store, whose rows held their material, to the tables of today. It takes the
// master key, which migrations do not have: rows are checked before and signed again after.

import type { Database, Row } from './database.ts'
import type { KeyTable } from './key-table.ts'
import type { MasterKey } from './master-key.ts'
import type { MaterialTable } from './material-table.ts'

interface Tables {
  readonly master: MasterKey
  readonly keys: KeyTable
  readonly materials: MaterialTable
}

/**
 * All keys or none, once.
 * @throws ERR_KMS_STORE when a row was changed by another program
 */
export function upgradeKeys(database: Database, tables: Tables): void {
  if (!database.hasTable('keys_1')) return
  database.transaction(() => {
    // Another broker may have done it meanwhile.
    if (!database.hasTable('keys_1')) return
    for (const row of database.all('SELECT * FROM keys_1 ORDER BY id')) upgradeKey(row, tables)
    database.run('DROP TABLE keys_1')
  })
}

function upgradeKey(row: Row, { master, keys, materials }: Tables): void {
  const names = ['id', 'created_ms', 'description', 'enabled', 'policy', 'material']
  const values = names.map((name) => row[name] ?? null)
  master.checkRow('keys', values, row['mac'] as Uint8Array)
  const id = String(row['id'])
  const createdMs = Number(row['created_ms'])
  const secret = master.unwrap(row['material'] as Uint8Array, `key ${id}`)
  keys.put({
    ...{ id, createdMs, description: String(row['description']), enabled: row['enabled'] === 1 },
    ...{ policy: String(row['policy']), spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' },
    ...{ origin: 'AWS_KMS', publicKey: null, material: 1, pendingImport: false },
    ...{ deletionMs: null, rotationDays: null, nextRotationMs: null, tags: {} },
  })
  materials.add(secret, { keyId: id, number: 1, createdMs, cause: 'CREATED' })
}
