import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import {
  endEnclave,
  isAlive,
  openDirectories,
  Registry,
  type EnclaveRecord,
} from '../enclaves/index.ts'
import { wholeNumber } from './arguments.ts'
import { printJson, printProgress } from './print.ts'

interface TerminateOptions {
  readonly enclaveId?: string
  readonly enclaveName?: string
  readonly all?: boolean
  readonly timeout: number
}

export function terminateEnclaveCommand(): Command {
  return new Command('terminate-enclave')
    .addOption(new Option('--enclave-id <id>').conflicts(['enclaveName', 'all']))
    .addOption(new Option('--enclave-name <name>').conflicts('all'))
    .option('--all', 'end every running enclave')
    .option(
      '--timeout <seconds>',
      'how long the app may take after SIGTERM',
      wholeNumber(0, 600),
      2,
    )
    .addHelpText('after', '\nExample:\n  cloister terminate-enclave --enclave-name hello\n')
    .action(terminate)
}

async function terminate(options: TerminateOptions): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  const end = async (record: EnclaveRecord): Promise<object> => {
    await endEnclave(registry, record, options.timeout * 1000)
    printProgress(`Successfully terminated ${record.id}.`)
    return { EnclaveName: record.description.name, EnclaveID: record.id, Terminated: true }
  }
  registry.settle()
  if (options.all === true) {
    const ends = await Promise.allSettled(registry.list().filter(isAlive).map(end))
    printJson(ends.flatMap((ended) => (ended.status === 'fulfilled' ? [ended.value] : [])))
    const failed = ends.find((ended) => ended.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return
  }
  const wanted = options.enclaveId ?? options.enclaveName
  if (wanted === undefined) {
    throw new CloisterError('ERR_CLI_ARGUMENT', 'give --enclave-id, --enclave-name or --all')
  }
  printJson(await end(registry.find(wanted)))
}
