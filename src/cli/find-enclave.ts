// `--enclave-id` and `--enclave-name`, which name one enclave in most commands.

import { Option } from 'commander'
import { isAlive, type EnclaveRecord, type Registry } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import { shellWord } from '../shell-word.ts'

export interface EnclaveFlags {
  readonly enclaveId?: string
  readonly enclaveName?: string
}

export function enclaveIdOption(): Option {
  return new Option('--enclave-id <id>', 'the enclave, by its id').conflicts('enclaveName')
}

export function enclaveNameOption(): Option {
  return new Option('--enclave-name <name>', 'the enclave, by its name')
}

/** Names in an error; more are counted. */
const MAX_NAMES = 8

/**
 * @param others - Further options that choose enclaves, for the error.
 * @throws `ERR_CLI_ARGUMENT` when neither is given, and as {@link Registry.find}.
 */
export function findEnclave(
  registry: Registry,
  flags: EnclaveFlags,
  others: readonly string[] = [],
): EnclaveRecord {
  const { enclaveId, enclaveName } = flags
  if (enclaveId !== undefined) return registry.find(enclaveId, 'id')
  if (enclaveName !== undefined) return registry.find(enclaveName, 'name')
  const options = [...['--enclave-name', '--enclave-id'], ...others]
  const message = `no enclave specified: give ${options.slice(0, -1).join(', ')} or ${options.at(-1) ?? ''}`
  throw new CloisterError('ERR_CLI_ARGUMENT', message, { hint: whatRuns(registry) })
}

function whatRuns(registry: Registry): string {
  const names = registry.list().flatMap((it) => (isAlive(it) ? [it.description.name] : []))
  if (names.length === 0)
    return 'No enclave is running; `cloister describe-enclaves --all` lists the ended ones.'
  const shown = names.slice(0, MAX_NAMES).map(shellWord).join(', ')
  const more = names.length > MAX_NAMES ? `, and ${String(names.length - MAX_NAMES)} more` : ''
  return `These enclaves are running: ${shown}${more}.`
}
