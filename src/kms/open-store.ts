// Opens the broker's store with its master key: from a file, or from a TPM, which then also detects an older copy. The
// store is a directory, or a PostgreSQL database.

import { existsSync } from 'node:fs'
import type { StorageTpm } from '../chip/index.ts'
import { check } from '../errors.ts'
import { PostgresDatabase } from './postgres.ts'
import type { Database } from './store/database.ts'
import { RollbackGuard } from './rollback.ts'
import { MasterKey, type MasterSecret } from './store/master-key.ts'
import { forgetKey, sealedKeyPath, sealKey, unsealKey } from './store/sealed-key.ts'
import { SqliteDatabase } from './store/sqlite.ts'
import { Store } from './store/store.ts'
import { tokenSecret, type TokenSource } from './store/token-key.ts'

/** Where the master key comes from. */
export type MasterKeySource = FileOrToken | { readonly tpm: StorageTpm }

/** The same without a TPM. */
export type FileOrToken = Exclude<MasterSecret, { readonly secret: Uint8Array }> | TokenSource

export interface OpenStore {
  readonly store: Store
  /** Null unless a TPM has the master key. */
  readonly guard: RollbackGuard | null
}

/**
 * Opens a store, and makes it if it is missing: a directory, or a PostgreSQL database by its address.
 * @throws ERR_KMS_STORE, ERR_KMS_MASTER_KEY, ERR_KMS_ROLLBACK, ERR_CHIP_*
 */
export async function openStore(
  directory: string,
  source: MasterKeySource,
  nowMs: number,
): Promise<OpenStore> {
  if (isPostgres(directory)) return await openShared(directory, source)
  const database = SqliteDatabase.open(directory)
  try {
    if (!('tpm' in source)) return await openPlain(database, source)
    return await openSealed(database, { directory, tpm: source.tpm, nowMs })
  } catch (error) {
    database.abandon()
    throw error
  }
}

/** Whether a store is named by the address of a PostgreSQL database. */
export function isPostgres(store: string): boolean {
  return /^postgres(ql)?:\/\//.test(store)
}

async function openPlain(database: Database, source: FileOrToken): Promise<OpenStore> {
  return { store: Store.over(database, await secretOf(database, source)), guard: null }
}

/** Asks the token, if it is on one. */
export async function secretOf(database: Database, source: FileOrToken): Promise<MasterSecret> {
  return 'pkcs11' in source ? { secret: await tokenSecret(database, source) } : source
}

async function openShared(url: string, source: MasterKeySource): Promise<OpenStore> {
  check(
    !('tpm' in source),
    'ERR_KMS_MASTER_KEY',
    'several hosts can use a PostgreSQL store, but only one a master key in its TPM',
    {
      hint: 'Give --passphrase-file, --master-key-file or --master-key-pkcs11.',
    },
  )
  const database = PostgresDatabase.open(url)
  try {
    return await openPlain(database, source)
  } catch (error) {
    database.abandon()
    throw error
  }
}

async function openSealed(
  database: SqliteDatabase,
  { directory, tpm, nowMs }: { directory: string; tpm: StorageTpm; nowMs: number },
): Promise<OpenStore> {
  const isSealed = existsSync(sealedKeyPath(directory))
  const isNew = !isSealed && !MasterKey.isBound(database)
  const key = isNew ? await sealKey(directory, tpm) : await unsealKey(directory, tpm)
  try {
    const store = Store.over(database, { secret: key.secret })
    const guard = await RollbackGuard.open(store, { tpm, counter: key.counter, nowMs })
    return { store, guard }
  } catch (error) {
    if (isNew) await forgetKey(directory, tpm, key)
    throw error
  }
}
