// Every error code of the toolkit: its nitro-cli number (which is the exit status), what it means
// and what to do. docs/errors.md is generated from this table.

export interface ErrorRow {
  /** nitro-cli's error number where it has the case, else 0 (the exit status is then 1). */
  readonly nitro: number
  readonly meaning: string
  readonly hint: string
}

const rows = {
  // --- command line
  ERR_CLI_ARGUMENT: {
    nitro: 3,
    meaning: 'An argument is missing, unknown or out of range.',
    hint: 'See `cloister <command> --help`.',
  },
  ERR_INTERNAL: {
    nitro: 0,
    meaning: 'A fault in Cloister itself.',
    hint: 'Please report it, with the command and its output.',
  },
  // --- processes
  ERR_PROCESS_SPAWN: {
    nitro: 5,
    meaning: 'A program that Cloister needs could not be started.',
    hint: 'Run `npm run setup`: it installs what is missing.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof rows

export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = rows
