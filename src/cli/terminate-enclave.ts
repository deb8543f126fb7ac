// cloister terminate-enclave: nitro-cli's command, which also gives the app time to end and forgets an
// enclave that has ended.

import { Command, Option } from 'commander'
import {
  endDamaged,
  endEnclave,
  isAlive,
  openDirectories,
  Registry,
  type EnclaveRecord,
} from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
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
    return terminated(record.id, record.description.name)
  }
  const endUnreadable = async (damage: CloisterError): Promise<object> => {
    const graceMs = options.timeout * 1000
    const { id, description } = await endDamaged(registry, idOf(damage), { damage, graceMs })
    return terminated(id, description.name)
  }
  registry.settle()
  if (options.all === true) {
    const ends = await Promise.allSettled([
      ...registry.list().filter(isAlive).map(end),
      ...registry.damaged().map((damage) => endUnreadable(damage).catch(leftOut)),
    ])
    printJson(ends.flatMap((ended) => (ended.status === 'fulfilled' ? (ended.value ?? []) : [])))
    const failed = ends.find((ended) => ended.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return
  }
  const found = findReadable(registry, options)
  printJson(await (found instanceof CloisterError ? endUnreadable(found) : end(found)))
}

/** The enclave, or what is wrong with its record: its keeper can be asked all the same. */
function findReadable(registry: Registry, flags: EnclaveFlags): EnclaveRecord | CloisterError {
  try {
    return findEnclave(registry, flags, ['--all'])
  } catch (error) {
    if (error instanceof CloisterError && error.code === 'ERR_KEEPER_RECORD') return error
    throw error
  }
}

/** A directory in which nothing runs any more does not keep `--all` from being done. */
function leftOut(error: unknown): undefined {
  if (!(error instanceof CloisterError && error.code === 'ERR_KEEPER_RECORD')) throw error
  printProgress(`Left out: ${error.message}. ${error.hint}`)
}

function idOf({ details }: CloisterError): string {
  return String(details['id'])
}

function terminated(id: string, name: string): object {
  printProgress(`Successfully terminated enclave ${id}.`)
  return { EnclaveName: name, EnclaveID: id, Terminated: true }
}
