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
  ERR_EIF_UNREADABLE: {
    nitro: 7,
    meaning: 'The enclave image cannot be read.',
    hint: 'Check the path and its permissions.',
  },
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
  ERR_EIF_SIGNATURE_FORMAT: {
    nitro: 59,
    meaning: 'The signature section of the enclave image is malformed.',
    hint: 'Sign the image again.',
  },
  ERR_EIF_SIGNATURE_INVALID: {
    nitro: 59,
    meaning: 'The signature of the enclave image is wrong, or belongs to another image.',
    hint: 'Do not run it: get the image from its signer again.',
  },
  ERR_EIF_CERTIFICATE: {
    nitro: 59,
    meaning: 'The signing certificate is not a PEM certificate.',
    hint: 'Give the PEM file of an X.509 certificate.',
  },
  ERR_EIF_CERTIFICATE_DATES: {
    nitro: 59,
    meaning: 'The signing certificate of the enclave image is expired or not valid yet.',
    hint: 'Check the clock; else have the image signed again.',
  },
  ERR_EIF_SIGNING: {
    nitro: 60,
    meaning: 'The enclave image cannot be signed.',
    hint: 'Give an unsigned image, and the PEM certificate and EC key of one signer.',
  },
  // --- image building
  ERR_IMAGE_SOURCE_UNSUPPORTED: {
    nitro: 50,
    meaning: 'The image would have to come from a Docker daemon or a registry.',
    hint: 'Copy it to an OCI layout with `skopeo copy`, and build from oci:DIR:TAG.',
  },
  ERR_IMAGE_SOURCE_MISSING: {
    nitro: 7,
    meaning: 'The directory or the OCI layout to build from cannot be read.',
    hint: 'Check the path and its permissions.',
  },
  ERR_IMAGE_SOURCE_CHANGED: {
    nitro: 48,
    meaning: 'A file changed while the image was built.',
    hint: 'Build again, and leave the input files alone meanwhile.',
  },
  ERR_IMAGE_LAYOUT: {
    nitro: 48,
    meaning: 'A document of the OCI image is malformed or of an unknown kind.',
    hint: 'Make the layout again with skopeo, buildah or umoci.',
  },
  ERR_IMAGE_TAG: {
    nitro: 48,
    meaning: 'The OCI layout has no image, or more than one, by that tag.',
    hint: 'Name one of its tags: oci:DIR:TAG.',
  },
  ERR_IMAGE_ARCHITECTURE: {
    nitro: 48,
    meaning: 'The OCI image is not for this architecture.',
    hint: 'Copy the image for linux/amd64 (`skopeo copy --override-arch amd64`).',
  },
  ERR_IMAGE_DIGEST: {
    nitro: 48,
    meaning: 'A part of the OCI image is not what its digest says.',
    hint: 'The layout is damaged or was tampered with: copy the image again.',
  },
  ERR_IMAGE_LAYER: {
    nitro: 48,
    meaning: 'A layer of the OCI image cannot be unpacked.',
    hint: 'Copy the image again.',
  },
  ERR_IMAGE_TAR: {
    nitro: 48,
    meaning: 'An archive in the image is malformed or of an unsupported form.',
    hint: 'Build the image again with a common builder.',
  },
  ERR_IMAGE_PATH: {
    nitro: 48,
    meaning:
      'A path in the image leads out of it or through a symbolic link, or Linux cannot have it.',
    hint: 'Remove that entry from the image.',
  },
  ERR_IMAGE_DUPLICATE: {
    nitro: 48,
    meaning: 'A layer has two entries by the same name.',
    hint: 'Build the image again with a common builder.',
  },
  ERR_IMAGE_ENTRY: {
    nitro: 48,
    meaning: 'The image has an entry that an enclave cannot have, such as a device.',
    hint: 'Remove that entry from the image.',
  },
  ERR_IMAGE_LIMIT: {
    nitro: 48,
    meaning: 'The image is larger than Cloister unpacks.',
    hint: 'Make the image smaller; an enclave holds it in memory.',
  },
  ERR_IMAGE_CONFIG: {
    nitro: 48,
    meaning: 'The image does not say, or not properly, what to run.',
    hint: 'Give --entrypoint and --cmd, KEY=value variables, and an absolute working directory.',
  },
  ERR_IMAGE_USER: {
    nitro: 48,
    meaning: 'The user or group of the image is not in its /etc/passwd or /etc/group.',
    hint: 'Add it to the image, or give numbers with --user.',
  },
  ERR_IMAGE_BLOBS: {
    nitro: 52,
    meaning: 'The kernel or the agent for the image is missing or unusable.',
    hint: 'Run `npm run setup`, or name the directory that has them with --blobs.',
  },
  ERR_IMAGE_OUTPUT: {
    nitro: 19,
    meaning: 'The enclave image cannot be written.',
    hint: 'Check the directory of --output-file, its permissions and its free space.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof rows

export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = rows
