// `--enclave-name` and `--enclave-id` of commands that serve several enclaves, also those that start
// later; without them all are served.

import type { Option } from 'commander'
import { isAlive, type EnclaveRecord, type Registry } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import { shellWord } from '../shell-word.ts'
import { RepeatedOption } from './arguments.ts'
import { printProgress } from './print.ts'

export interface ChosenEnclaves {
  readonly enclaveId: readonly string[]
  readonly enclaveName: readonly string[]
}

export function chosenEnclavesOptions(): readonly [Option, Option] {
  return [
    new RepeatedOption('--enclave-name <name>', 'serve ports of this enclave only', String).default(
      [],
      'all',
    ),
    new RepeatedOption('--enclave-id <id>', 'the same, by id', String).default([], 'all'),
  ]
}

/**
 * A name may be that of an enclave that starts later; an id is never given twice.
 *
 * @throws `ERR_KEEPER_NO_SUCH_ENCLAVE`
 */
export function checkChosen(registry: Registry, { enclaveId, enclaveName }: ChosenEnclaves): void {
  for (const id of enclaveId) {
    if (isAlive(registry.find(id, 'id'))) continue
    throw new CloisterError('ERR_KEEPER_NO_SUCH_ENCLAVE', `the enclave ${id} has ended`)
  }
  const running = new Set(
    registry.list().flatMap((it) => (isAlive(it) ? [it.description.name] : [])),
  )
  for (const name of enclaveName.filter((it) => !running.has(it)))
    printProgress(
      `Note: no enclave named ${shellWord(name)} is running; it is served once it starts.`,
    )
}

export function isChosen(
  { id, description }: EnclaveRecord,
  { enclaveId, enclaveName }: ChosenEnclaves,
): boolean {
  if (enclaveId.length + enclaveName.length === 0) return true
  return enclaveId.includes(id) || enclaveName.includes(description.name)
}
