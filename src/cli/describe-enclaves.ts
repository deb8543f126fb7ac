// cloister describe-enclaves: nitro-cli's command, with ports and traffic, and ended enclaves on demand.

import { Command } from 'commander'
import { isAlive, openDirectories, Registry } from '../enclaves/index.ts'
import { enclaveJson } from './enclave-json.ts'
import { printJson, printProgress } from './print.ts'
import { vsockReports } from './vsock-report.ts'

interface DescribeOptions {
  readonly metadata?: boolean
  readonly all?: boolean
  readonly connections?: boolean
}

/** `cloister describe-enclaves`; a card that does not answer costs its figures, not the list. */
export function describeEnclavesCommand(): Command {
  return new Command('describe-enclaves')
    .option('--metadata', "include each image's name, version and metadata")
    .option('-a, --all', 'include ended enclaves, and how they ended')
    .option('--connections', 'include every open vsock connection')
    .addHelpText('after', '\nExample:\n  cloister describe-enclaves --all\n')
    .action(describeEnclaves)
}

async function describeEnclaves(options: DescribeOptions): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  registry.settle()
  for (const { message, hint } of registry.damaged()) printProgress(`Left out: ${message}. ${hint}`)
  const records = registry.list().filter((record) => options.all === true || isAlive(record))
  const reports = await vsockReports(registry, records, options)
  const metadata = options.metadata === true
  printJson(
    records.map((record) =>
      enclaveJson(record, { registry, metadata, vsock: reports.get(record.id) }),
    ),
  )
}
