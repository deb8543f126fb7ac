// `kms audit verify`: whether the log in a store is whole. It needs no master key.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { check } from '../errors.ts'
import { isPostgres } from './open-store.ts'
import { PostgresDatabase } from './postgres.ts'
import { verifyAudit, type AuditHead } from './store/audit-log.ts'
import { SqliteDatabase } from './store/sqlite.ts'

/**
 * Checks every entry of the log in a store, and that an entry noted before is still in it.
 * @throws ERR_KMS_AUDIT, ERR_KMS_STORE
 */
export function verifyStoredAudit(directory: string, noted?: AuditHead): AuditHead {
  if (isPostgres(directory)) {
    using shared = PostgresDatabase.open(directory)
    return verifyAudit(shared, noted)
  }
  const path = join(directory, 'kms.db')
  check(existsSync(path), 'ERR_KMS_STORE', `${path} does not exist`, {
    details: { directory },
    hint: 'Give the directory of a store with --store; `cloister kms serve` makes one.',
  })
  using database = SqliteDatabase.open(directory)
  return verifyAudit(database, noted)
}
