// What a store says of itself: single values by name.

import type { Database } from './database.ts'

export function readMeta(database: Database, name: string): Uint8Array | null {
  const row = database.get('SELECT value FROM meta WHERE name = ?', [name])
  return (row?.['value'] ?? null) as Uint8Array | null
}

export function writeMeta(database: Database, name: string, value: Uint8Array): void {
  const sql = `INSERT INTO meta VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`
  database.append(sql, [name, value])
}

export function removeMeta(database: Database, name: string): void {
  database.append('DELETE FROM meta WHERE name = ?', [name])
}
