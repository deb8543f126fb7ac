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
  // --- enclave image format
  ERR_EIF_MAGIC: {
    nitro: 35,
    meaning: 'The file is not an enclave image: it does not begin with ".eif".',
    hint: 'Give the path of an EIF file, made by `cloister build-enclave` or nitro-cli.',
  },
  ERR_EIF_VERSION: {
    nitro: 35,
    meaning: 'The enclave image has a version other than 4.',
    hint: 'Build the image again with a current builder.',
  },
  ERR_EIF_HEADER: {
    nitro: 35,
    meaning: 'A field of the image header has a value that no builder writes.',
    hint: 'The file is damaged or was tampered with: fetch or build it again.',
  },
  ERR_EIF_TRUNCATED: {
    nitro: 35,
    meaning: 'The enclave image is shorter than its header says.',
    hint: 'Copy or build the image again.',
  },
  ERR_EIF_TRAILING_BYTES: {
    nitro: 35,
    meaning: 'The enclave image has bytes after its last section.',
    hint: 'The file is damaged or was tampered with: fetch or build it again.',
  },
  ERR_EIF_SECTION_TABLE: {
    nitro: 35,
    meaning: 'The section table and the sections of the image contradict each other.',
    hint: 'The file is damaged or was tampered with: fetch or build it again.',
  },
  ERR_EIF_SECTION_TYPE: {
    nitro: 35,
    meaning: 'The enclave image has a section of an unknown type.',
    hint: 'Build the image again with a current builder.',
  },
  ERR_EIF_SECTION_MISSING: {
    nitro: 35,
    meaning: 'The enclave image lacks a kernel, cmdline, metadata or ramdisk section.',
    hint: 'Build the image again.',
  },
  ERR_EIF_SECTION_REPEATED: {
    nitro: 35,
    meaning: 'The enclave image has a section twice that it may have once.',
    hint: 'Build the image again.',
  },
  ERR_EIF_SECTION_ORDER: {
    nitro: 35,
    meaning: 'The enclave image has a ramdisk before its kernel.',
    hint: 'Build the image again.',
  },
  ERR_EIF_SECTION_SIZE: {
    nitro: 35,
    meaning: 'A section of the enclave image is empty or too long.',
    hint: 'Build the image again.',
  },
  ERR_EIF_CRC: {
    nitro: 35,
    meaning: 'The checksum of the enclave image does not fit its contents.',
    hint: 'The file is damaged: copy or build it again.',
  },
  ERR_EIF_CMDLINE: {
    nitro: 35,
    meaning: 'The kernel command line is too long or not one line of printable ASCII.',
    hint: 'Give a command line of at most 4096 printable characters.',
  },
  ERR_EIF_METADATA: {
    nitro: 35,
    meaning: 'The metadata of the enclave image is not the JSON that it should be.',
    hint: 'Build the image again; custom metadata must be JSON.',
  },
  ERR_EIF_CONTENT: {
    nitro: 48,
    meaning: 'A part of the image is empty, or changed while the image was written.',
    hint: 'Build again, and leave the input files alone meanwhile.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof rows

export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = rows
