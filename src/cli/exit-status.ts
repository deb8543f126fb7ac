// The one rule of exit statuses, as nitro-cli 1.5.0 has it: 2 for arguments that cannot be used, 39 for
// whatever ends a start (the cause's number is printed above it), else the number of the cause, and 1
// where nitro-cli has no number, or it is vsock-proxy, a program of its own, that fails. docs/nitro-cli.md
// tells it to people.

import { errorTable, type ErrorCode } from '../error-table.ts'

const USAGE = 2
/** nitro-cli's parent process gives this one whatever its enclave process died of. */
const LAUNCH_FAILED = 39
const UNNUMBERED = 1

/** nitro-cli's InvalidArgument. */
const INVALID_ARGUMENT = 3

/** Faults of run-enclave's arguments, which nitro-cli looks at before it starts anything. */
const ARGUMENT_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_CONFIG_INCOMPLETE',
  'ERR_CONFIG_CONFLICT',
  'ERR_CONFIG_FORMAT',
  'ERR_CONFIG_DATA',
  'ERR_FILE_INPUT',
])

export interface Outcome {
  /** nitro-cli's number to print; 0 where there is none. */
  readonly number: number
  readonly status: number
}

/**
 * What an error makes of a command.
 *
 * @param code - One of ours; undefined for another, such as the verifier's.
 * @param command - The command's full name; undefined while its arguments are still being read.
 */
export function outcomeOf(code: ErrorCode | undefined, command: string | undefined): Outcome {
  const number = code === undefined ? 0 : numberIn(code, command)
  const isUsage =
    code === 'ERR_CLI_ARGUMENT' || (command === undefined && number === INVALID_ARGUMENT)
  if (isUsage) return { number: 0, status: USAGE }
  if (command === 'vsock-proxy') return { number: 0, status: UNNUMBERED }
  if (command === 'run-enclave' && !(code !== undefined && ARGUMENT_FAULTS.has(code)))
    return { number, status: LAUNCH_FAILED }
  return { number, status: number === 0 ? UNNUMBERED : number }
}

function numberIn(code: ErrorCode, command: string | undefined): number {
  const { nitro, nitroIn } = errorTable[code]
  return (command === 'run-enclave' || command === 'pcr' ? nitroIn?.[command] : undefined) ?? nitro
}
