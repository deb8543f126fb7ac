// `--enclave-id` and `--enclave-name`, which name one enclave in most commands.

import { Option } from 'commander'
import type { EnclaveRecord, Registry } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'

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

/** @throws `ERR_CLI_ARGUMENT` when neither is given, and as {@link Registry.find}. */
export function findEnclave(registry: Registry, flags: EnclaveFlags): EnclaveRecord {
  const { enclaveId, enclaveName } = flags
  if (enclaveId !== undefined) return registry.find(enclaveId, 'id')
  if (enclaveName !== undefined) return registry.find(enclaveName, 'name')
  throw new CloisterError('ERR_CLI_ARGUMENT', 'give --enclave-id or --enclave-name')
}
