// cloister terminate-enclave: nitro-cli's command, which also gives the app time to end and forgets an
// enclave that has ended.

import { Command, Option } from 'commander'
import {
  endEnclave,
  isAlive,
  openDirectories,
  Registry,
  type EnclaveRecord,
} from '../enclaves/index.ts'
import { wholeNumber } from './arguments.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'
import { printJson, printProgress } from './print.ts'

interface TerminateOptions extends EnclaveFlags {
  readonly all?: boolean
  readonly timeout: number
}

/** `cloister terminate-enclave`; `--timeout` in seconds. Its action throws as `endEnclave`. */
export function terminateEnclaveCommand(): Command {
  return new Command('terminate-enclave')
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .addOption(
      new Option('--all', 'end every running enclave').conflicts(['enclaveId', 'enclaveName']),
    )
    .option(
      '--timeout <seconds>',
      'how long the app may take to exit after SIGTERM',
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
    printProgress(`Successfully terminated enclave ${record.id}.`)
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
  printJson(await end(findEnclave(registry, options, ['--all'])))
}
