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
  // --- chip
  ERR_CHIP_TPM_START: {
    nitro: 0,
    meaning: 'A TPM could not be started or prepared.',
    hint: 'Run `npm run setup`; the details carry what swtpm said.',
  },
  ERR_CHIP_TPM_GONE: {
    nitro: 0,
    meaning: 'The TPM ended or closed its channel.',
    hint: 'The enclave whose TPM it was must be started anew.',
  },
  ERR_CHIP_TPM_TIMEOUT: {
    nitro: 0,
    meaning: 'The TPM did not answer a command in time.',
    hint: 'See whether the host is overloaded or swtpm is stopped.',
  },
  ERR_CHIP_TPM_PROTOCOL: {
    nitro: 0,
    meaning: 'The TPM sent bytes that are no answer to the command.',
    hint: 'Check that swtpm is the one that `npm run setup` installed.',
  },
  ERR_CHIP_TPM_RC: {
    nitro: 0,
    meaning: 'The TPM refused a command; `rc` in the details is its response code.',
    hint: 'Look the code up with `tpm2_rc_decode`.',
  },
  ERR_CHIP_BUSY: {
    nitro: 0,
    meaning: 'The host chip was in use by another process for too long.',
    hint: 'Try again; see which process holds the chip directory.',
  },
  ERR_CHIP_STATE_EXISTS: {
    nitro: 0,
    meaning: 'The directory for a new TPM is not empty.',
    hint: 'Choose a directory that is absent or empty.',
  },
  ERR_CHIP_STATE_MISSING: {
    nitro: 0,
    meaning: 'A file of the host chip or its authority is missing.',
    hint: 'Restore the state directory, or remove `chip` in it to make a new chip.',
  },
  ERR_CHIP_STATE_INVALID: {
    nitro: 0,
    meaning: 'The files of the host chip do not belong together.',
    hint: 'Restore the state directory, or remove `chip` in it to make a new chip.',
  },
  ERR_CHIP_STATE_CHANGED: {
    nitro: 0,
    meaning: 'The state of the host chip is that of another TPM.',
    hint: 'Restore the state directory, or remove `chip` in it to make a new chip.',
  },
  ERR_CHIP_KEY_UNSUPPORTED: {
    nitro: 0,
    meaning: 'A key to certify is not a P-384 SubjectPublicKeyInfo.',
    hint: 'Use the attestation key of a virtual TPM.',
  },
  ERR_CHIP_CERTIFICATE_SIZE: {
    nitro: 0,
    meaning: 'A certificate is longer than a document may carry (1024 bytes).',
    hint: 'Shorten the names in it.',
  },
  ERR_CHIP_CERTIFICATE_EXPIRED: {
    nitro: 0,
    meaning: 'The certificate of the host chip is not valid at this time.',
    hint: 'Check the clock, or remove `chip` in the state directory to make a new chip.',
  },
  // --- nsm
  ERR_NSM_QUOTE_MISMATCH: {
    nitro: 0,
    meaning: 'The TPM of an enclave quotes other PCRs than its NSM has.',
    hint: 'Stop the enclave: something else has reached its TPM.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof rows

export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = rows
