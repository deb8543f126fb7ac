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
  // --- host
  ERR_HOST_DESCRIPTORS: {
    nitro: 19,
    meaning: 'This process, or the host, has too many open files.',
    hint: 'Raise the limit of open files (`ulimit -n`, both the soft and the hard one) to 4096 or more.',
  },
  ERR_HOST_MEMORY: {
    nitro: 27,
    meaning: 'The host has no memory left.',
    hint: 'End something else on the host, or give its control group more memory.',
  },
  ERR_HOST_PROCESSES: {
    nitro: 5,
    meaning: 'The host cannot start another process.',
    hint: 'Raise the limit of processes (`ulimit -u`, or pids.max of the control group).',
  },
  // --- processes
  ERR_FILE_OUTPUT: {
    nitro: 19,
    meaning: 'The output file cannot be written.',
    hint: 'Check its directory, the permissions there, and the free space.',
  },
  ERR_FILE_TEMPORARY: {
    nitro: 19,
    meaning: 'A temporary file cannot be made or written.',
    hint: 'Set TMPDIR to an existing directory with enough free space.',
  },
  ERR_PROCESS_SPAWN: {
    nitro: 5,
    meaning: 'A program that Cloister needs could not be started.',
    hint: 'Run `npm run setup`: it installs what is missing.',
  },
  // --- vsock
  ERR_VSOCK_FRAME: {
    nitro: 11,
    meaning: 'A message on a vsock stream is too long or cut short.',
    hint: 'The guest and this version of Cloister do not speak the same protocol; rebuild the image.',
  },
  ERR_VSOCK_CONNECT: {
    nitro: 11,
    meaning: 'The guest does not accept a connection on that port.',
    hint: 'Check with `cloister describe-enclaves` that the enclave runs and the port is among its GuestPorts (`cloister open-ports` opens it), and that its app listens there.',
  },
  ERR_VSOCK_LISTEN: {
    nitro: 11,
    meaning: 'A port of the parent cannot be served.',
    hint: "Check that the enclave's directory is writable and that no other program serves the port.",
  },
  ERR_VSOCK_PATH: {
    nitro: 40,
    meaning: 'The path of a unix socket is too long.',
    hint: 'Set CLOISTER_RUNTIME_DIR to a shorter path.',
  },
  ERR_VSOCK_CARD: {
    nitro: 8,
    meaning: 'The vsock card did not come up.',
    hint: 'Run `npm run setup` again; if it stays, start the program by hand and read what it says.',
  },
  ERR_VSOCK_CONTROL: {
    nitro: 39,
    meaning: 'The vsock card did not answer the keeper, or refused.',
    hint: 'Try again; if it stays, end the enclave: its card hangs.',
  },
  ERR_VSOCK_PORTS: {
    nitro: 3,
    meaning: 'A text is no set of vsock ports, or the set falls into too many ranges.',
    hint: 'Write `all`, `none` or a list of ports and ranges such as 8000,9100-9110.',
  },
  // --- NSM card
  ERR_NSM_CARD: {
    nitro: 8,
    meaning: 'The NSM card did not come up.',
    hint: 'Run `npm run setup` again; if it stays, start the program by hand and read what it says.',
  },
  // --- machine
  ERR_VMM_START: {
    nitro: 36,
    meaning: 'QEMU could not start the machine.',
    hint: "Read QEMU's words in the message; `--accelerator tcg` runs without KVM.",
  },
  ERR_VMM_CONTROL: {
    nitro: 39,
    meaning: 'QEMU refused a control command or is gone.',
    hint: 'See `cloister describe-enclaves --all` for how the enclave ended.',
  },
  // --- keeper
  ERR_PROCESS_ABANDONED: {
    nitro: 0,
    meaning: 'The start was given up half-way: it was terminated, or whoever asked went away.',
    hint: 'Run the command again and let it finish.',
  },
  ERR_KEEPER_DIRECTORY: {
    nitro: 18,
    meaning: 'A directory that Cloister needs cannot be used.',
    hint: 'Set CLOISTER_STATE_DIR and CLOISTER_RUNTIME_DIR to directories that belong to you alone (mode 0700).',
  },
  ERR_KEEPER_RECORD: {
    nitro: 17,
    meaning: "An enclave's record in the registry is damaged.",
    hint: "Remove the enclave's directory when nothing of it runs any more.",
  },
  ERR_KEEPER_CPU: {
    nitro: 21,
    meaning: 'A CPU that the enclave is to run on is not there.',
    hint: 'Name CPUs of this host that are online (see `lscpu`), or use --cpu-count.',
  },
  ERR_KEEPER_NO_SUCH_ENCLAVE: {
    nitro: 3,
    meaning: 'No enclave has that id or name.',
    hint: 'List them with `cloister describe-enclaves --all`.',
  },
  ERR_KEEPER_NO_CONSOLE: {
    nitro: 44,
    meaning: 'Only an enclave in debug mode has a console.',
    hint: 'Start it with --debug-mode; its documents then carry zero PCRs.',
  },
  ERR_KEEPER_CONTROL: {
    nitro: 39,
    meaning: "The enclave's keeper did not answer or refused.",
    hint: 'See `cloister describe-enclaves --all` for whether it still runs.',
  },
  ERR_KEEPER_DIED: {
    nitro: 39,
    meaning: 'The keeper died while it started the enclave.',
    hint: 'Check that memory is not short on the host, and try again.',
  },
  ERR_KEEPER_AGENT: {
    nitro: 41,
    meaning: "A message of the guest's agent is malformed.",
    hint: 'The image was built for another version of Cloister; rebuild it.',
  },
  ERR_KEEPER_IMAGE: {
    nitro: 7,
    meaning: 'The enclave image is for another kind of machine.',
    hint: 'Check the path given with --eif-path.',
  },
  ERR_KEEPER_MEMORY: {
    nitro: 26,
    meaning: 'The memory asked for is out of range or too little for the image.',
    hint: 'Use a larger --memory.',
  },
  // --- demo
  ERR_DEMO_APP: {
    nitro: 0,
    meaning: 'The example app is not built, or answered with an error.',
    hint: 'Run `npm run setup`, then `cloister demo` again.',
  },
  // --- boot
  ERR_BOOT_TIMEOUT: {
    nitro: 36,
    meaning: 'The guest sent no heartbeat in time.',
    hint: 'Run it with --debug-mode to see its console, or allow more with --boot-timeout.',
  },
  ERR_BOOT_DIED: {
    nitro: 36,
    meaning: 'A part of the enclave ended before the heartbeat.',
    hint: 'Run it with --debug-mode to see its console.',
  },
  ERR_BOOT_AGENT: {
    nitro: 36,
    meaning: 'The agent inside could not prepare the guest.',
    hint: "The message has the agent's own words; mend the image and build it again.",
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
  ERR_EIF_UNREADABLE: {
    nitro: 7,
    meaning: 'The enclave image cannot be read.',
    hint: 'Check the path and its permissions.',
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
  // --- nsm
  ERR_NSM_QUOTE_MISMATCH: {
    nitro: 0,
    meaning: 'The TPM of an enclave quotes other PCRs than its NSM has.',
    hint: 'Stop the enclave: something else has reached its TPM.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof rows

export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = rows
