// cloister kms backup, kms restore: copies of the broker's store.

import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { backUp, isPostgres, restore, type BackupReport } from '../kms/index.ts'
import {
  masterKeySourceOf,
  masterKeySourceOptions,
  masterKeyOf,
  masterKeyOptions,
  masterKeyTpmOption,
  storeDirectory,
  storeOption,
  tpmOf,
  type MasterKeyFlags,
} from './kms-store-options.ts'
import { printJson } from './print.ts'

interface BackupFlags extends MasterKeyFlags {
  readonly store?: string
  readonly backupPassphraseFile?: string
}

const BACKUP_NOTES = `
The broker must not be running. Every row and the audit log are checked. The backup is opened with the master
key of the store; if that is sealed to a TPM, the backup contains it, encrypted with --backup-passphrase-file.

Example:
  cloister kms backup broker.backup --master-key-tpm --backup-passphrase-file passphrase`

const RESTORE_NOTES = `
Every row and the audit log are checked. With --master-key-tpm, the master key is sealed to this host's chip;
so a store can also be moved from a passphrase to a TPM.

Example:
  cloister kms restore broker.backup --backup-passphrase-file passphrase --master-key-tpm`

export function kmsBackupCommand(): Command {
  const command = new Command('backup')
    .description("write a copy of the broker's store to a file")
    .argument('<file>', 'a file that does not exist')
  for (const option of [...masterKeyOptions(), storeOption()]) command.addOption(option)
  return command
    .option('--backup-passphrase-file <file>', 'encrypts a master key that is sealed to a TPM')
    .addHelpText('after', BACKUP_NOTES)
    .action(writeBackup)
}

export function kmsRestoreCommand(): Command {
  const command = new Command('restore')
    .description('make a store from a backup')
    .argument('<file>', 'what `kms backup` wrote')
  for (const option of masterKeySourceOptions()) command.addOption(option)
  return command
    .addOption(
      new Option(
        '--backup-passphrase-file <file>',
        'decrypts the master key in the backup',
      ).conflicts(['passphraseFile', 'masterKeyFile', 'masterKeyPkcs11']),
    )
    .addOption(masterKeyTpmOption())
    .addOption(storeOption())
    .addHelpText('after', RESTORE_NOTES)
    .action(restoreBackup)
}

async function writeBackup(file: string, flags: BackupFlags): Promise<void> {
  const { backupPassphraseFile } = flags
  if (backupPassphraseFile !== undefined && flags.masterKeyTpm === undefined)
    throw wrong('backup', '--backup-passphrase-file is for a store with --master-key-tpm')
  checkDirectory('backup', flags.store)
  const report = await backUp(file, {
    store: storeDirectory(flags.store),
    masterKey: await masterKeyOf(flags),
    ...(backupPassphraseFile === undefined ? {} : { backupPassphraseFile }),
    nowMs: Date.now(),
  })
  printReport({ Backup: file }, report)
}

async function restoreBackup(file: string, flags: BackupFlags): Promise<void> {
  const { backupPassphraseFile } = flags
  const opensWith =
    backupPassphraseFile === undefined ? masterKeySourceOf(flags) : { backupPassphraseFile }
  if (opensWith === undefined) throw wrong('restore', 'nothing is given that opens the backup')
  checkDirectory('restore', flags.store)
  const store = storeDirectory(flags.store)
  const tpm = await tpmOf(flags)
  const report = await restore(file, { store, opensWith, ...(tpm === undefined ? {} : { tpm }) })
  printReport({ Store: store }, report)
}

function checkDirectory(command: string, store = ''): void {
  if (isPostgres(store)) throw wrong(command, 'for a PostgreSQL store, use pg_dump and pg_restore')
}

function printReport(place: object, { keys, audit: { seq, hash } }: BackupReport): void {
  printJson({ ...place, Keys: keys, Entries: seq, Head: `${String(seq)}:${hash}` })
}

function wrong(command: string, message: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message, {
    hint: `See \`cloister kms ${command} --help\`.`,
  })
}
