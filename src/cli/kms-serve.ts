// cloister kms serve: the key broker.

import { Command } from 'commander'
import { CloisterError } from '../errors.ts'
import {
  isRegion,
  preventCoreDumps,
  rootDigest,
  startBroker,
  type BrokerOptions,
} from '../kms/index.ts'
import { wholeNumber } from './arguments.ts'
import {
  masterKeyOf,
  masterKeyOptions,
  storeDirectory,
  storeOption,
  type MasterKeyFlags,
} from './kms-store-options.ts'
import { printJson } from './print.ts'
import { reportError } from './report-error.ts'
import { trustedRoots, type RootFlags } from './trusted-roots.ts'

interface ServeFlags extends MasterKeyFlags, RootFlags {
  readonly store?: string
  readonly credentials: string
  readonly changeRoots?: boolean
  readonly maxDocumentAge: number
  readonly requestsPerSecond: number
  readonly region: string
  readonly account: string
  readonly host: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly port: number
  /** True for the usual port. */
  readonly console?: number | true
  readonly consoleTokenFile?: string
}

const CONSOLE_PORT = 8471
const NOT_A_REGION =
  'does not have the form of an AWS region, such as us-east-1, cn-north-1 or us-gov-west-1'

const SERVE_NOTES = `
The broker prints its endpoint when it answers, and runs until it is interrupted. Clients find it by
AWS_ENDPOINT_URL_KMS, or their own option for the endpoint. docs/kms.md shows the file of principals, and
says what the broker has and what it does not. With several roots, a document counts for a key only if the key's
policy names its root; RootSha256 in the output is what policies call each of them. The store remembers the roots: to change
them, stop all of its brokers, and start the first one with --change-roots.

Example:
  cloister kms serve --credentials principals.json --passphrase-file passphrase \\
    --root /var/lib/cloister/authority/root.pem`

export function kmsServeCommand(): Command {
  const command = new Command('serve')
    .description("answer AWS KMS's API over keys that open for verified documents")
    .requiredOption('--credentials <file>', 'who may sign requests, with which keys and policies')
  for (const option of [...masterKeyOptions(), storeOption()]) command.addOption(option)
  return command
    .option(
      '--root <file...>',
      'root certificates whose documents count, PEM or DER',
      [] as string[],
    )
    .option('--aws-root', "documents under AWS's Nitro Enclaves root G1 count too")
    .option('--change-roots', 'use these roots with a store that had others')
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
      "the region that requests are signed for and keys' ARNs name, as AWS names regions",
      'us-east-1',
    )
    .option('--account <id>', "the account of the keys' ARNs, twelve digits", '111122223333')
    .option('--host <address>', 'a loopback address, or any with TLS', '127.0.0.1')
    .option('--tls-cert <file>', 'answer by TLS with this certificate and its chain, PEM')
    .option('--tls-key <file>', "the certificate's private key, PEM")
    .option('--port <port>', '0 for any', wholeNumber(0, 65_535), 8470)
    .option(
      '--console [port]',
      'a page with keys, policies and decisions on 127.0.0.1 (port 8471)',
      wholeNumber(0, 65_535),
    )
    .option('--console-token-file <file>', 'lets the page make changes, with this token')
    .addHelpText('after', SERVE_NOTES)
    .action(serve)
}

async function serve(flags: ServeFlags): Promise<void> {
  const { credentials, region, account, host, port, maxDocumentAge, requestsPerSecond } = flags
  if (!/^\d{12}$/.test(account)) throw wrong('--account is not twelve digits')
  if (!isRegion(region)) throw wrong(`--region ${region} ${NOT_A_REGION}`)
  const roots = trustedRoots(flags)
  const store = storeDirectory(flags.store)
  const report = (fault: unknown): void =>
    void reportError(fault, { isVerbose: false, command: 'kms' })
  preventCoreDumps(report)
  const broker = await startBroker({
    ...{ credentials, region, account, host, port, store, roots, requestsPerSecond },
    masterKey: await masterKeyOf(flags),
    ...tlsOf(flags),
    ...consoleOf(flags),
    changesRoots: flags.changeRoots ?? false,
    maxDocumentAgeMs: maxDocumentAge * 1000,
    report,
  })
  process.once('exit', () => {
    broker.closeStore()
  })
  printJson({
    Endpoint: broker.endpoint,
    ...(broker.console === null ? {} : { Console: broker.console }),
    Region: region,
    Account: account,
    Store: store,
    AcceptedRoots: roots.length,
    RootSha256: roots.map(rootDigest),
    ResponseKey: broker.responseKey,
    ProcessID: process.pid,
  })
}

function consoleOf({
  console: given,
  consoleTokenFile: tokenFile,
}: ServeFlags): Pick<BrokerOptions, 'console'> {
  if (given === undefined && tokenFile !== undefined)
    throw wrong('--console-token-file: give --console, too')
  if (given === undefined) return {}
  const port = given === true ? CONSOLE_PORT : given
  return { console: { port, ...(tokenFile === undefined ? {} : { tokenFile }) } }
}

function tlsOf({ tlsCert: certificate, tlsKey: key }: ServeFlags): Pick<BrokerOptions, 'tls'> {
  if (certificate === undefined && key === undefined) return {}
  if (certificate !== undefined && key !== undefined) return { tls: { certificate, key } }
  throw wrong('--tls-cert and --tls-key: give both or neither')
}

function wrong(message: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message, {
    hint: 'See `cloister kms serve --help`.',
  })
}
