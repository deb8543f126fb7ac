import { Command } from 'commander'
import { isAlive, openDirectories, Registry } from '../keeper/index.ts'
import { enclaveJson } from './enclave-json.ts'
import { printJson, printProgress } from './print.ts'

interface DescribeOptions {
  readonly metadata?: boolean
  readonly all?: boolean
}

export function describeEnclavesCommand(): Command {
  return new Command('describe-enclaves')
    .alias('list')
    .description('list the running enclaves')
    .option('--metadata', "with each image's name, version and metadata")
    .option('-a, --all', 'with those that have ended, and how')
    .addHelpText('after', '\nExample:\n  cloister describe-enclaves --all\n')
    .action(({ metadata = false, all = false }: DescribeOptions) => {
      const registry = new Registry(openDirectories().runtime)
      for (const { message, hint } of registry.damaged())
        printProgress(`Left out: ${message}. ${hint}`)
      const records = registry.list().filter((record) => all || isAlive(record))
      printJson(records.map((record) => enclaveJson(record, registry, metadata)))
    })
}
