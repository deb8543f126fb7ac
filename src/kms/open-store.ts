// Opens the broker's store with its master key: from a file, or from a TPM, which then also detects an older copy.

import { existsSync } from 'node:fs'
import type { StorageTpm } from '../chip/index.ts'
import { RollbackGuard } from './rollback.ts'
import { MasterKey, type MasterSecret } from './store/master-key.ts'
import { forgetKey, sealedKeyPath, sealKey, unsealKey } from './store/sealed-key.ts'
import { SqliteDatabase } from './store/sqlite.ts'
import { Store } from './store/store.ts'

/** Where the master key comes from. */
export type MasterKeySource =
  Exclude<MasterSecret, { readonly secret: Uint8Array }> | { readonly tpm: StorageTpm }

export interface OpenStore {
  readonly store: Store
  /** Null unless a TPM has the master key. */
  readonly guard: RollbackGuard | null
}

/**
 * Opens a store, and makes it if it is missing.
 * @throws ERR_KMS_STORE, ERR_KMS_MASTER_KEY, ERR_KMS_ROLLBACK, ERR_CHIP_*
 */
export async function openStore(
  directory: string,
  source: MasterKeySource,
  nowMs: number,
): Promise<OpenStore> {
  const database = SqliteDatabase.open(directory)
  try {
    if (!('tpm' in source)) return { store: Store.over(database, source), guard: null }
    return await openSealed(database, { directory, tpm: source.tpm, nowMs })
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
