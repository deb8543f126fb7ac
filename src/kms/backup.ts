// Backups of a store: one SQLite file with everything in it, keys wrapped. It is opened with the master key of the store;
// one of a store whose master key is in a TPM contains this key, wrapped by a passphrase. What is written or read is
// checked as a whole: every row, and the audit log.

import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { readCounter, type StorageTpm } from '../chip/index.ts'
import { check, CloisterError, reasonOf } from '../errors.ts'
import { Leftover, makeDirectory } from '../files/index.ts'
import { openStore, secretOf, type FileOrToken, type MasterKeySource } from './open-store.ts'
import { verifyAudit, type AuditHead } from './store/audit-log.ts'
import { MasterKey, type MasterSecret } from './store/master-key.ts'
import { readMeta, removeMeta, writeMeta } from './store/meta-table.ts'
import { forgetKey, sealKey, unsealKey } from './store/sealed-key.ts'
import { SqliteDatabase } from './store/sqlite.ts'
import { Store } from './store/store.ts'

/** What a backup contains. */
export interface BackupReport {
  readonly keys: number
  readonly audit: AuditHead
}

export interface BackupOptions {
  /** The directory of a store that no broker has open. */
  readonly store: string
  readonly masterKey: MasterKeySource
  /** Wraps the master key of a store that has it in a TPM. */
  readonly backupPassphraseFile?: string
  readonly nowMs: number
}

export interface RestoreOptions {
  /** A directory without a store. */
  readonly store: string
  /** What opens the backup: the master key of its store, or the passphrase that wraps it. */
  readonly opensWith: FileOrToken | { readonly backupPassphraseFile: string }
  /** Seals the master key to this TPM; without it, the master key stays where it was. */
  readonly tpm?: StorageTpm
}

const CODE = 'ERR_KMS_BACKUP'
/** Name of the wrapped master key in a backup. */
const WRAPPED = 'wrapped master key'

/**
 * Writes a backup to a file that does not exist yet.
 * @throws ERR_KMS_BACKUP, ERR_KMS_STORE, ERR_KMS_MASTER_KEY, ERR_KMS_ROLLBACK, ERR_KMS_AUDIT, ERR_CHIP_*
 */
export async function backUp(path: string, options: BackupOptions): Promise<BackupReport> {
  const { store: directory, masterKey, nowMs } = options
  const isThere = existsSync(join(directory, 'kms.db'))
  check(isThere, 'ERR_KMS_STORE', `${directory} contains no store`, { details: { directory } })
  check(!existsSync(path), CODE, `${path} exists`, { hint: 'Give the path of a new file.' })
  const portable = await portableKey(options)
  return await staged(dirname(resolve(path)), `cannot write ${path}`, async (staging) => {
    const copy = join(staging, 'kms.db')
    const { store } = await openStore(directory, masterKey, nowMs)
    using _ = store
    store.copyTo(copy)
    chmodSync(copy, 0o600)
    const secret = await secretIn(staging, portable)
    const report = withStore(staging, secret, (database, copied) => {
      if ('wrapped' in portable) writeMeta(database, WRAPPED, portable.wrapped)
      return reportOf(database, copied)
    })
    // Unlike rename(2), it does not replace a file.
    linkSync(copy, path)
    return report
  })
}

/** The master key, and how the backup carries it: not at all, unless a TPM has it. */
async function portableKey({
  store,
  masterKey,
  backupPassphraseFile,
}: BackupOptions): Promise<FileOrToken | WrappedKey> {
  if (!('tpm' in masterKey)) return masterKey
  const message = 'the backup needs a passphrase for the master key, which is sealed to a TPM'
  check(backupPassphraseFile !== undefined, CODE, message, {
    hint: 'Give --backup-passphrase-file.',
  })
  const { secret } = await unsealKey(store, masterKey.tpm)
  return { secret, wrapped: MasterKey.wrapSecret(secret, backupPassphraseFile) }
}

/**
 * Makes a store from a backup.
 * @throws ERR_KMS_BACKUP, ERR_KMS_STORE, ERR_KMS_MASTER_KEY, ERR_KMS_AUDIT, ERR_CHIP_*
 */
export async function restore(path: string, options: RestoreOptions): Promise<BackupReport> {
  const { opensWith, tpm } = options
  const directory = resolve(options.store)
  checkVacant(directory)
  const failure = `cannot restore ${path} to ${directory}`
  makeParent(directory, failure)
  return await staged(dirname(directory), failure, async (staging, leftover) => {
    copyFileSync(path, join(staging, 'kms.db'))
    chmodSync(join(staging, 'kms.db'), 0o600)
    checkDatabase(staging, path)
    const wrapsKey = 'backupPassphraseFile' in opensWith
    check(
      !wrapsKey || tpm !== undefined,
      CODE,
      'the master key of the backup was sealed to a TPM',
      {
        hint: 'Give --master-key-tpm, too.',
      },
    )
    const secret = wrapsKey ? unwrapIn(staging, opensWith) : await secretIn(staging, opensWith)
    const report = withStore(staging, secret, reportOf)
    const { undo } = await moveToTpm(staging, secret, tpm)
    try {
      rmSync(join(directory, 'lock'), { force: true })
      renameSync(staging, directory)
      leftover.moved()
    } catch (error) {
      await undo()
      throw error
    }
    return report
  })
}

function makeParent(directory: string, failure: string): void {
  try {
    makeDirectory(dirname(directory))
  } catch (cause) {
    throw failed(failure, cause)
  }
}

/** Whether SQLite and we know what was copied: an error about the copy would name a file that is gone. */
function checkDatabase(staging: string, path: string): void {
  try {
    SqliteDatabase.open(staging)[Symbol.dispose]()
  } catch (cause) {
    const message = `${path} is not a backup of a store, or is damaged`
    const hint = 'Give a file that `cloister kms backup` wrote, as it wrote it.'
    throw new CloisterError(CODE, message, { cause, hint, details: { path } })
  }
}

/** A directory of a store that was removed contains the lock at most. */
function checkVacant(directory: string): void {
  const found = existsSync(directory) ? readdirSync(directory) : []
  const isVacant = found.every((name) => name === 'lock')
  check(isVacant, CODE, `${directory} is not empty`, {
    details: { directory },
    hint: 'Give another directory with --store, or move the old store away.',
  })
}

/** A master key, and as a backup contains it. */
interface WrappedKey {
  readonly secret: Uint8Array
  readonly wrapped: Uint8Array
}

async function secretIn(staging: string, source: FileOrToken | WrappedKey): Promise<MasterSecret> {
  if ('wrapped' in source) return { secret: source.secret }
  using database = SqliteDatabase.open(staging)
  return await secretOf(database, source)
}

function unwrapIn(
  staging: string,
  { backupPassphraseFile }: { readonly backupPassphraseFile: string },
): MasterSecret {
  using database = SqliteDatabase.open(staging)
  const wrapped = readMeta(database, WRAPPED)
  check(wrapped !== null, CODE, 'the backup contains no master key', {
    hint: 'Give the master key of the store that it is a copy of: --passphrase-file, --master-key-file or --master-key-pkcs11.',
  })
  return { secret: MasterKey.unwrapSecret(wrapped, backupPassphraseFile) }
}

/** Seals the master key to a TPM, where one is given; the store then belongs to the TPM's new counter. */
async function moveToTpm(
  staging: string,
  opensWith: MasterSecret,
  tpm: StorageTpm | undefined,
): Promise<{ readonly undo: () => Promise<void> }> {
  if (tpm === undefined) return { undo: () => Promise.resolve() }
  const secret = withStore(staging, opensWith, (database) =>
    MasterKey.secretOf(database, opensWith),
  )
  const sealed = await sealKey(staging, tpm, secret)
  const value = await tpm((channel) => readCounter(channel, sealed.counter))
  withStore(staging, { secret }, (database, store) => {
    removeMeta(database, WRAPPED)
    store.setEpoch(sealed.counter, value ?? 0n)
  })
  return { undo: () => forgetKey(staging, tpm, sealed) }
}

/** Opens the store in a directory of ours for some work. */
function withStore<T>(
  directory: string,
  secret: MasterSecret,
  work: (database: SqliteDatabase, store: Store) => T,
): T {
  using database = SqliteDatabase.open(directory)
  return work(database, Store.over(database, secret))
}

function reportOf(database: SqliteDatabase, store: Store): BackupReport {
  return { keys: store.checkRows(), audit: verifyAudit(database) }
}

/** Works in a directory beside the result, which is gone afterwards. */
async function staged<T>(
  parent: string,
  failure: string,
  work: (staging: string, leftover: Leftover) => Promise<T>,
): Promise<T> {
  try {
    const staging = mkdtempSync(join(parent, '.cloister-kms-'))
    using leftover = new Leftover(staging, 'directory')
    leftover.made()
    return await work(staging, leftover)
  } catch (cause) {
    throw cause instanceof CloisterError ? cause : failed(failure, cause)
  }
}

function failed(failure: string, cause: unknown): CloisterError {
  return new CloisterError(CODE, `${failure}: ${reasonOf(cause)}`, { cause })
}
