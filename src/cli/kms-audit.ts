// cloister kms audit: the broker's audit log.

import { Command } from 'commander'
import { CloisterError } from '../errors.ts'
import { verifyStoredAudit, type AuditHead } from '../kms/index.ts'
import { storeDirectory, storeOption } from './kms-store-options.ts'
import { printJson } from './print.ts'

export function kmsAuditCommand(): Command {
  const verify = new Command('verify')
    .description('check that no entry of the log was changed or removed')
    .addOption(storeOption())
    .option('--head <seq:hash>', 'an end of the log that was noted before: it must still be there')
    .action(verifyLog)
  return new Command('audit').description("look at the broker's audit log").addCommand(verify)
}

function verifyLog({ store, head }: { readonly store?: string; readonly head?: string }): void {
  const { seq, hash } = verifyStoredAudit(
    storeDirectory(store),
    head === undefined ? undefined : headOf(head),
  )
  printJson({ Verified: true, Entries: seq, Head: `${String(seq)}:${hash}` })
}

function headOf(text: string): AuditHead {
  const [, seq, hash = ''] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? []
  if (seq === undefined)
    throw new CloisterError(
      'ERR_CLI_ARGUMENT',
      '--head is not what `kms audit verify` printed as Head',
      { hint: 'See `cloister kms audit verify --help`.' },
    )
  return { seq: Number(seq), hash }
}
