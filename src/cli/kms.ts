// cloister kms: the key broker, a key policy put to the test, the audit log checked.

import { join } from 'node:path'
import { Command, Option } from 'commander'
import { awsNitroRootG1 } from '@cloister/attestation'
import { openDirectories } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import {
  startBroker,
  verifyStoredAudit,
  type AuditHead,
  type BrokerOptions,
  type MasterKeySource,
} from '../kms/index.ts'
import { readFileArgument, wholeNumber } from './arguments.ts'
import { kmsPolicyCommand } from './kms-policy-test.ts'
import { certificatesToDer } from './pem.ts'
import { printJson } from './print.ts'
import { reportError } from './report-error.ts'

interface ServeFlags {
  readonly store?: string
  readonly credentials: string
  readonly passphraseFile?: string
  readonly masterKeyFile?: string
  readonly root: readonly string[]
  readonly awsRoot?: boolean
  readonly maxDocumentAge: number
  readonly requestsPerSecond: number
  readonly region: string
  readonly account: string
  readonly host: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly port: number
}

const SERVE_NOTES = `
The broker prints its endpoint when it answers, and runs until it is interrupted. Clients find it by
AWS_ENDPOINT_URL_KMS, or their own option for the endpoint. docs/kms.md shows the file of principals, and
says what the broker has and what it does not.

Example:
  cloister kms serve --credentials principals.json --passphrase-file passphrase \\
    --root /var/lib/cloister/authority/root.pem`

export function kmsCommand(): Command {
  const audit = new Command('audit')
    .description("look at the broker's audit log")
    .addCommand(
      new Command('verify')
        .description('check that no entry of the log was changed or removed')
        .option('--store <directory>', 'where the broker keeps its keys (default: <state>/kms)')
        .option(
          '--head <seq:hash>',
          'an end of the log that was noted before: it must still be there',
        )
        .action(verifyLog),
    )
  return new Command('kms')
    .addCommand(serveCommand())
    .addCommand(kmsPolicyCommand())
    .addCommand(audit)
}

function serveCommand(): Command {
  return new Command('serve')
    .description("answer AWS KMS's API over keys that open for verified documents")
    .requiredOption('--credentials <file>', 'who may sign requests, with which keys and policies')
    .addOption(
      new Option(
        '--passphrase-file <file>',
        'the master key is made from this passphrase',
      ).conflicts('masterKeyFile'),
    )
    .option('--master-key-file <file>', 'the master key: 32 bytes, or 64 hexadecimal digits')
    .option('--store <directory>', 'where to keep the keys (default: <state>/kms)')
    .option(
      '--root <file...>',
      'root certificates whose documents count, PEM or DER',
      [] as string[],
    )
    .option('--aws-root', "documents under AWS's Nitro Enclaves root G1 count too")
    .option(
      '--max-document-age <seconds>',
      'the maximum age of a document',
      wholeNumber(1, 86_400),
      300,
    )
    .option(
      '--requests-per-second <count>',
      'how many requests a principal may make before it is throttled',
      wholeNumber(1, 1_000_000),
      1000,
    )
    .option(
      '--region <name>',
      "the region that requests are signed for and keys' ARNs name",
      'us-east-1',
    )
    .option('--account <id>', "the account of the keys' ARNs, twelve digits", '111122223333')
    .option('--host <address>', 'a loopback address, or any with TLS', '127.0.0.1')
    .option('--tls-cert <file>', 'answer by TLS with this certificate and its chain, PEM')
    .option('--tls-key <file>', "the certificate's private key, PEM")
    .option('--port <port>', '0 for any', wholeNumber(0, 65_535), 8470)
    .addHelpText('after', SERVE_NOTES)
    .action(serve)
}

async function serve(flags: ServeFlags): Promise<void> {
  const { credentials, region, account, host, port, maxDocumentAge, requestsPerSecond } = flags
  if (!/^\d{12}$/.test(account)) throw wrong('--account is not twelve digits')
  if (!/^[a-z0-9-]{1,64}$/.test(region)) throw wrong(`--region ${region} is not a region's name`)
  const files = flags.root.flatMap((path) => certificatesToDer(readFileArgument('--root', path)))
  const roots = flags.awsRoot === true ? [awsNitroRootG1, ...files] : files
  const store = storeOf(flags.store)
  const broker = await startBroker({
    ...{ credentials, region, account, host, port, store, roots, requestsPerSecond },
    masterKey: masterKeyOf(flags),
    ...tlsOf(flags),
    maxDocumentAgeMs: maxDocumentAge * 1000,
    report: (fault) => void reportError(fault, { isVerbose: false, command: 'kms' }),
  })
  process.once('exit', () => {
    broker.closeStore()
  })
  printJson({
    Endpoint: broker.endpoint,
    Region: region,
    Account: account,
    Store: store,
    AcceptedRoots: roots.length,
    ProcessID: process.pid,
  })
}

function masterKeyOf({ passphraseFile, masterKeyFile }: ServeFlags): MasterKeySource {
  if (passphraseFile !== undefined) return { passphraseFile }
  if (masterKeyFile !== undefined) return { keyFile: masterKeyFile }
  throw wrong('no master key: give --passphrase-file or --master-key-file')
}

function tlsOf({ tlsCert: certificate, tlsKey: key }: ServeFlags): Pick<BrokerOptions, 'tls'> {
  if (certificate === undefined && key === undefined) return {}
  if (certificate !== undefined && key !== undefined) return { tls: { certificate, key } }
  throw wrong('--tls-cert and --tls-key: give both or neither')
}

function verifyLog({ store, head }: { readonly store?: string; readonly head?: string }): void {
  const { seq, hash } = verifyStoredAudit(
    storeOf(store),
    head === undefined ? undefined : headOf(head),
  )
  printJson({ Verified: true, Entries: seq, Head: `${String(seq)}:${hash}` })
}

function headOf(text: string): AuditHead {
  const [, seq, hash = ''] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? []
  if (seq === undefined) throw wrong('--head is not what `kms audit verify` printed as Head')
  return { seq: Number(seq), hash }
}

function storeOf(store: string | undefined): string {
  return store ?? join(openDirectories().state, 'kms')
}

function wrong(message: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message, {
    hint: 'See `cloister kms serve --help`.',
  })
}
