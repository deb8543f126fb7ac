// cloister kms: the key broker, its store, its audit log, and key policies put to the test.

import { Command } from 'commander'
import { kmsAuditCommand } from './kms-audit.ts'
import { kmsBackupCommand, kmsRestoreCommand } from './kms-backup.ts'
import { kmsPolicyCommand } from './kms-policy-test.ts'
import { kmsServeCommand } from './kms-serve.ts'

export function kmsCommand(): Command {
  return new Command('kms')
    .addCommand(kmsServeCommand())
    .addCommand(kmsPolicyCommand())
    .addCommand(kmsAuditCommand())
    .addCommand(kmsBackupCommand())
    .addCommand(kmsRestoreCommand())
}
