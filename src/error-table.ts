// Every error code of the toolkit: nitro-cli's number for it, what it means and what to do. The exit
// status follows from the number (src/cli/exit-status.ts). docs/errors.md is generated from this table.

export interface ErrorRow {
  /** nitro-cli's error number where it has the case, else 0. */
  readonly nitro: number
  /** Where nitro-cli gives the same fault another number in one of its commands. */
  readonly nitroIn?: Readonly<Partial<Record<'run-enclave' | 'pcr', number>>>
  readonly meaning: string
  readonly hint: string
}

const rows = {
  // --- command line
  ERR_CLI_ARGUMENT: {
    nitro: 0,
    meaning: 'An argument is missing, unknown or out of range (exit status 2).',
    hint: 'See `cloister <command> --help`.',
  },
  ERR_CONFIG_INCOMPLETE: {
    nitro: 1,
    meaning: 'The --config file of run-enclave names no image.',
    hint: 'Add the key eif_path to it.',
  },
  ERR_CONFIG_CONFLICT: {
    nitro: 2,
    meaning: 'The --config file of run-enclave has keys that exclude each other.',
    hint: 'Remove one of cpu_count and cpu_ids from it.',
  },
  ERR_CONFIG_FORMAT: {
    nitro: 17,
    meaning: 'The --config file of run-enclave is not JSON, or has an invalid value.',
    hint: 'Correct the value named in the message; docs/nitro-cli.md lists the keys.',
  },
  ERR_CONFIG_DATA: {
    nitro: 19,
    meaning:
      'The file or directory given with --config-data cannot be read, is too large, or is not a valid configuration.',
    hint: 'Give a regular file, or a directory that contains only regular files, of at most 64 KiB in total.',
  },
  ERR_METRICS_LISTEN: {
    nitro: 0,
    meaning: 'The metrics cannot be served on that socket or port.',
    hint: 'Give --listen another path or port, or end what listens there.',
  },
  ERR_INTERNAL: {
    nitro: 0,
    meaning: 'An internal error in Cloister.',
    hint: 'Run the command again with --verbose and report its output.',
  },
  // --- host
  ERR_HOST_DESCRIPTORS: {
    nitro: 19,
    meaning: 'This process, or the host, has too many open files.',
    hint: 'Raise the limit on open files (`ulimit -n`, both soft and hard) to 4096 or more.',
  },
  ERR_HOST_MEMORY: {
    nitro: 27,
    meaning: 'The host has no memory left.',
    hint: 'Stop other programs on the host, or give the control group more memory.',
  },
  ERR_HOST_PROCESSES: {
    nitro: 5,
    meaning: 'The host cannot start another process.',
    hint: 'Raise the limit on processes (`ulimit -u`, or pids.max of the control group).',
  },
  ERR_KEEPER_CGROUP: {
    nitro: 0,
    meaning: "The enclave's control groups cannot be created, and --cgroup required asks for them.",
    hint: '`cloister doctor` shows what is missing; docs/isolation.md describes what is needed.',
  },
  // --- processes
  ERR_FILE_INPUT: {
    nitro: 19,
    meaning: 'A file given as an option cannot be read, or is larger than allowed.',
    hint: 'Check the path and its permissions.',
  },
  ERR_FILE_OUTPUT: {
    nitro: 19,
    meaning: 'The output file cannot be written.',
    hint: 'Check its directory, the permissions there, and the free space.',
  },
  ERR_FILE_TEMPORARY: {
    nitro: 19,
    meaning: 'A temporary file cannot be created or written.',
    hint: 'Set TMPDIR to an existing directory with enough free space.',
  },
  ERR_PROCESS_SPAWN: {
    nitro: 5,
    meaning: 'A required program could not be started.',
    hint: 'Run `npm run setup`: it installs what is missing.',
  },
  // --- vsock
  ERR_VSOCK_FRAME: {
    nitro: 11,
    meaning: 'A message on a vsock stream is too long or truncated.',
    hint: 'The image was built for another version of Cloister: rebuild it.',
  },
  ERR_VSOCK_CONNECT: {
    nitro: 11,
    meaning: 'The guest does not accept connections on that port.',
    hint: 'Check with `cloister describe-enclaves` that the enclave is running and that its GuestPorts include the port (`cloister open-ports` opens it). Then check that the app listens on it.',
  },
  ERR_VSOCK_LISTEN: {
    nitro: 11,
    meaning: 'Cloister cannot listen on a port of the parent, or at an address of the host.',
    hint: "Check that the enclave's directory is writable, that the address belongs to this host, and that no other program listens there.",
  },
  ERR_VSOCK_PATH: {
    nitro: 40,
    meaning: 'The path of a Unix socket is too long.',
    hint: 'Set CLOISTER_RUNTIME_DIR to a shorter path.',
  },
  ERR_VSOCK_CARD: {
    nitro: 8,
    meaning: 'The vsock card did not start.',
    hint: 'Run `npm run setup` again; if this persists, report the message above.',
  },
  ERR_VSOCK_CONTROL: {
    nitro: 39,
    meaning: 'The vsock card did not answer the keeper, or refused a request.',
    hint: 'Try again; if this persists, the card hangs and the enclave must be terminated.',
  },
  ERR_VSOCK_PORTS: {
    nitro: 3,
    meaning: 'A vsock port list is invalid, or has too many ranges.',
    hint: 'Write `all`, `none`, or a list of ports and ranges such as 8000,9100-9110.',
  },
  ERR_VSOCK_FORWARD: {
    nitro: 3,
    meaning: 'A forwarding is invalid, or has too many connections.',
    hint: 'Write `8080:5005`, `[::1]:8080:5005` or `/path:5005` after -L, `8000:443`, `8000:localhost:443` or `8000:/path` after -R.',
  },
  ERR_VSOCK_FORWARD_TARGET: {
    nitro: 11,
    meaning: 'The host end that a guest is forwarded to does not accept connections.',
    hint: 'Check the address after -R, and that the program there is running.',
  },
  ERR_VSOCK_HOST: {
    nitro: 39,
    meaning: "This host's AF_VSOCK has no loopback transport, which `--vsock host` needs.",
    hint: 'Run `modprobe vsock_loopback`, or leave `--vsock host` out.',
  },
  ERR_VSOCK_KERNEL: {
    nitro: 39,
    meaning: 'This host has no usable /dev/vhost-vsock, which `--vsock kernel` needs.',
    hint: 'Run `modprobe vhost_vsock`, or leave `--vsock kernel` out.',
  },
  ERR_VSOCK_CID: {
    nitro: 33,
    meaning: 'Another virtual machine of this host has the CID (`--vsock kernel`).',
    hint: 'Choose another --enclave-cid, or leave it out to get one that is rarely in use.',
  },
  // --- vsock-proxy
  ERR_PROXY_CONFIG: {
    nitro: 0,
    meaning: 'The configuration of vsock-proxy is missing or invalid.',
    hint: 'Correct the file given with --config; docs/vsock-proxy.md describes it.',
  },
  ERR_PROXY_DENIED: {
    nitro: 0,
    meaning: 'The allowlist of vsock-proxy does not contain the server.',
    hint: 'Add the server to allowlist in the file given with --config, if enclaves may reach it.',
  },
  ERR_PROXY_RESOLVE: {
    nitro: 0,
    meaning: 'The name of a server was not found, or it has no address of the wanted IP version.',
    hint: "Check the name, and this host's resolver (`getent ahosts NAME`).",
  },
  ERR_PROXY_CONNECT: {
    nitro: 0,
    meaning: 'The server behind vsock-proxy does not accept connections.',
    hint: 'Check from this host that the server is running and reachable.',
  },
  // --- parent programs (parent/src/failure.rs prints these, with the same hints)
  ERR_PARENT_KERNEL: {
    nitro: 0,
    meaning:
      "The kernel cannot report a program's system calls, or not to this user (exit status 125).",
    hint: 'Linux 5.14 or later is needed, with seccomp (CONFIG_SECCOMP_FILTER); in a container its profile must allow seccomp(2), pidfd_getfd(2) and process_vm_readv(2).',
  },
  ERR_PARENT_NESTED: {
    nitro: 0,
    meaning: 'The program is already supervised (exit status 125).',
    hint: 'Run it once: what `cloister parent` starts is covered, children included. Some container tools supervise too.',
  },
  ERR_PARENT_DESCRIPTOR: {
    nitro: 0,
    meaning: "The program would inherit a socket of the host's own AF_VSOCK (exit status 125).",
    hint: 'Start the program without it: under `cloister parent` it reaches enclaves only.',
  },
  ERR_PARENT_PROGRAM: {
    nitro: 0,
    meaning: 'The program was not found (exit status 127) or cannot be run (126).',
    hint: "Check the program's name, that it is executable, and that the interpreter of a script is there.",
  },
  // --- the guest's HTTP API
  ERR_API_ACCEPT: {
    nitro: 0,
    meaning:
      "The guest's API, or attested TLS, has no answer of a type that the request accepts (status 406).",
    hint: 'Ask for application/json, or for application/cbor where the API offers it.',
  },
  ERR_API_BUSY: {
    nitro: 0,
    meaning:
      "The guest's API is asked too often, or too many requests wait for the NSM (status 429).",
    hint: 'Wait as long as Retry-After says, and ask again.',
  },
  ERR_API_CONFIG: {
    nitro: 0,
    meaning:
      'The enclave was started without a configuration, or it cannot be read (status 404, 500).',
    hint: 'Start the enclave with `cloister run-enclave --config-data PATH`.',
  },
  ERR_API_HEADER: {
    nitro: 0,
    meaning:
      "A request to the guest's API on 127.0.0.1:9010 lacks the header that it requires (status 403).",
    hint: 'Send the header `Cloister-Api: 1`, or use the socket /run/cloister/api.sock.',
  },
  ERR_API_NSM: {
    nitro: 0,
    meaning:
      "The NSM refused a request of the guest's API or of attested TLS, or did not answer it (status 502).",
    hint: "Ask again; if it persists, look for the NSM's errors in the enclave's journal.",
  },
  ERR_API_PARAMETER: {
    nitro: 0,
    meaning:
      "A parameter of a request to the guest's API is unknown, repeated, malformed or too long (status 400).",
    hint: 'docs/guest-api.openapi.json describes every path and parameter.',
  },
  ERR_API_PATH: {
    nitro: 0,
    meaning: "The guest's API has no such path (status 404), or not for this method (status 405).",
    hint: 'docs/guest-api.openapi.json describes every path and parameter.',
  },
  // --- attested TLS in front of an app
  ERR_EDGE_PARAMETER: {
    nitro: 0,
    meaning:
      'A question for the document of attested TLS has an unknown, repeated or malformed parameter (status 400), or another method than GET (405).',
    hint: 'Ask for /.well-known/attestation?nonce=HEX, and add &binding=tls-exporter for a document of this connection alone.',
  },
  ERR_EDGE_PROGRAM: {
    nitro: 0,
    meaning: 'The program behind attested TLS does not answer (status 502).',
    hint: 'Check that the program listens on 127.0.0.1, on the port that `tls` of the manifest names in `to`.',
  },
  ERR_EDGE_REQUEST: {
    nitro: 0,
    meaning: 'A request to attested TLS cannot be passed on to the program (status 400).',
    hint: 'Send a request for a path, with a Host field or an :authority.',
  },
  // --- the proxy in the enclave
  ERR_EGRESS_DENIED: {
    nitro: 0,
    meaning: "The rules deny what the enclave's proxy was asked for (status 403).",
    hint: "Add a rule that allows the destination to `egress` of the manifest, or to the operator's rules.",
  },
  ERR_EGRESS_REQUEST: {
    nitro: 0,
    meaning:
      "A request to the enclave's proxy is not one for a proxy, or is malformed (status 400).",
    hint: 'Use CONNECT HOST:PORT, or a request for an http:// URL in absolute form.',
  },
  ERR_EGRESS_SERVER: {
    nitro: 0,
    meaning:
      "The server that the enclave's proxy was asked for was not found, refused or broke off (status 502), or did not answer (504).",
    hint: 'Check that the name exists, and that the server accepts connections on this port.',
  },
  // --- manifest
  ERR_MANIFEST_YAML: {
    nitro: 3,
    meaning: 'A manifest (cloister.yaml) is not valid YAML, or uses a feature that is not allowed.',
    hint: 'Correct the file at that line and column. It must be one document of at most 64 KiB without anchors, aliases and tags.',
  },
  ERR_MANIFEST_FIELD: {
    nitro: 3,
    meaning: 'A manifest (cloister.yaml) has an unknown key, a missing key or an invalid value.',
    hint: 'Correct the file at that line and column; docs/manifest.md describes every key.',
  },
  // --- network card
  ERR_NETWORK_CARD: {
    nitro: 8,
    meaning: 'The network card did not start.',
    hint: 'Read its output in the message. `npm run setup` builds the card; CLOISTER_NETWORK_CARD selects another one.',
  },
  ERR_NETWORK_CONTROL: {
    nitro: 8,
    meaning: 'The network card did not answer the keeper.',
    hint: 'If this persists, terminate the enclave and start it again.',
  },
  ERR_NETWORK_DECISION: {
    nitro: 0,
    meaning: 'The decision of the egress rules differs from what `policy test --expect` states.',
    hint: 'See the decision on standard output: it names the deciding rule, or a rule that would allow the destination.',
  },
  ERR_NETWORK_LISTEN: {
    nitro: 11,
    meaning: 'A port cannot be published at that address of the host.',
    hint: 'Check that the address belongs to this host and that no other program uses the port, or give port 0 for a free one.',
  },
  ERR_NETWORK_PUBLISH: {
    nitro: 11,
    meaning: 'A value of --publish is not a valid port to publish, or is given twice.',
    hint: 'Write [address:]host-port:guest-port[/tcp|/udp], for example 127.0.0.1:8080:80. The address is an IP address, IPv6 in brackets.',
  },
  ERR_NETWORK_UNDECLARED: {
    nitro: 11,
    meaning:
      'A port to publish is not declared by the image, so the enclave would refuse its clients.',
    hint: 'Publish a port that `ingress` or `tls` of the manifest declares (`cloister describe-eif` shows them), or declare it and build again.',
  },
  // --- NSM card
  ERR_NSM_CARD: {
    nitro: 8,
    meaning: 'The NSM card did not start.',
    hint: 'Run `npm run setup` again; if this persists, report the message above.',
  },
  // --- machine
  ERR_VMM_START: {
    nitro: 36,
    meaning: 'QEMU could not start the machine.',
    hint: "Read QEMU's output above. If there is none, check that the program is QEMU (CLOISTER_QEMU).",
  },
  ERR_VMM_KVM: {
    nitro: 36,
    meaning: 'KVM was requested, but cannot run a guest on this host or for this user.',
    hint: 'Leave out --accelerator kvm, or give --accelerator tcg, to run the enclave in emulation, which is slower.',
  },
  ERR_VMM_HUGE_PAGES: {
    nitro: 27,
    meaning: '--huge-pages needs more free huge pages than this host has reserved.',
    hint: 'Reserve more as root: `sysctl vm.nr_hugepages=<pages of 2 MiB>`, or leave out --huge-pages.',
  },
  ERR_VMM_CONTROL: {
    nitro: 39,
    meaning: 'QEMU refused a control command, or has exited.',
    hint: '`cloister describe-enclaves --all` shows how the enclave ended.',
  },
  // --- keeper
  ERR_PROCESS_ABANDONED: {
    nitro: 0,
    meaning:
      'The launch was cancelled: the enclave was terminated, or the command that started it exited.',
    hint: 'Run the command again and let it finish.',
  },
  ERR_KEEPER_DIRECTORY: {
    nitro: 18,
    meaning: 'A directory that Cloister needs cannot be used.',
    hint: 'Set CLOISTER_STATE_DIR and CLOISTER_RUNTIME_DIR to directories that you own and nobody else can enter (mode 0700).',
  },
  ERR_KEEPER_RECORD: {
    nitro: 17,
    meaning: "An enclave's record in the registry is damaged.",
    hint: '`cloister terminate-enclave --enclave-id ID` ends the enclave if it still runs. If it does not, remove its directory.',
  },
  ERR_KEEPER_CPU: {
    nitro: 21,
    meaning: 'A CPU given with --cpu-ids does not exist.',
    hint: 'Give CPUs of this host that are online (see `lscpu`), or use --cpu-count.',
  },
  ERR_KEEPER_CPU_REPEATED: {
    nitro: 20,
    meaning: 'A CPU is given twice with --cpu-ids.',
    hint: 'Give each CPU once: every vCPU runs on a CPU of its own.',
  },
  ERR_KEEPER_CPU_COUNT: {
    nitro: 22,
    meaning: 'The requested vCPUs exceed the CPUs of this host.',
    hint: 'Use a smaller --cpu-count (see `nproc`).',
  },
  ERR_KEEPER_NO_SUCH_ENCLAVE: {
    nitro: 11,
    meaning: 'No enclave has that id, or the enclave has ended.',
    hint: '`cloister describe-enclaves --all` lists the enclaves.',
  },
  ERR_KEEPER_NO_SUCH_NAME: {
    nitro: 58,
    meaning: 'No enclave has that name.',
    hint: '`cloister describe-enclaves --all` lists the enclaves.',
  },
  ERR_KEEPER_CID: {
    nitro: 33,
    meaning: 'Another running enclave has that CID.',
    hint: 'Choose another --enclave-cid, or leave it out to get a free one.',
  },
  ERR_KEEPER_NO_LOGS: {
    nitro: 0,
    meaning:
      'The enclave has no log: its manifest declares no log lines, or it runs in debug mode.',
    hint: 'Declare `logs` in cloister.yaml and rebuild the image (docs/manifest.md). An enclave in debug mode has a console instead.',
  },
  ERR_KEEPER_NO_CONSOLE: {
    nitro: 44,
    meaning: 'Only an enclave in debug mode has a console.',
    hint: 'Start it with --debug-mode; its documents then carry zero PCRs.',
  },
  ERR_KEEPER_CONTROL: {
    nitro: 39,
    meaning: "The enclave's keeper did not answer, or refused a request.",
    hint: '`cloister describe-enclaves --all` shows whether it is still running.',
  },
  ERR_KEEPER_USERS: {
    nitro: 0,
    meaning:
      "A user id for an enclave's parts is already in use, or CLOISTER_UID_RANGE is invalid.",
    hint: 'Set CLOISTER_UID_RANGE=first:count to user and group ids that nothing else uses. In /etc/subuid they may be assigned to cloister only.',
  },
  ERR_KEEPER_WAIT: {
    nitro: 0,
    meaning: 'The enclave was still running when the timeout expired.',
    hint: 'Wait longer (--timeout), or end it with `cloister terminate-enclave`.',
  },
  ERR_KEEPER_STOP: {
    nitro: 39,
    meaning: 'A process of the enclave cannot be killed, so the enclave still runs.',
    hint: 'Check the state of that process with `ps`: it may be blocked on a disk or device, or belong to another user. Then terminate the enclave again.',
  },
  ERR_KEEPER_DIED: {
    nitro: 39,
    meaning: 'The keeper died while starting the enclave.',
    hint: 'Check that the host has enough memory, and try again.',
  },
  ERR_KEEPER_AGENT: {
    nitro: 41,
    meaning: "A message from the guest's agent is malformed.",
    hint: 'The image was built for another version of Cloister: rebuild it.',
  },
  ERR_KEEPER_IMAGE: {
    nitro: 7,
    meaning: 'The enclave image is for another architecture.',
    hint: 'Build the image for x86_64.',
  },
  ERR_KEEPER_IMAGE_CHANGED: {
    nitro: 0,
    meaning:
      'The image file of an enclave has changed since the first start, so the enclave is not restarted.',
    hint: 'Start the new image with `cloister run-enclave`; `cloister diff-eif` compares two images.',
  },
  ERR_KEEPER_CONFIG_DATA: {
    nitro: 0,
    meaning: 'The image does not support the configuration given with --config-data.',
    hint: "Build the image with this version of Cloister; images with another init than Cloister's do not support it.",
  },
  ERR_KEEPER_MEMORY: {
    nitro: 26,
    meaning: 'The requested memory is out of range, or too small for the image.',
    hint: 'Use a larger --memory.',
  },
  ERR_KEEPER_HOST_MEMORY: {
    nitro: 27,
    meaning:
      "The requested memory exceeds this host's memory, or the manifest requests too large a share of it.",
    hint: 'Use a smaller --memory (see `free --mebi`).',
  },
  // --- demo
  ERR_DEMO_APP: {
    nitro: 0,
    meaning: 'The example app is not built, or returned an error.',
    hint: 'Run `npm run setup`, then `cloister demo` again.',
  },
  // --- boot
  ERR_BOOT_TIMEOUT: {
    nitro: 36,
    meaning: 'The guest did not send its heartbeat in time.',
    hint: 'Run it with --debug-mode to see its console, or allow more time with --boot-timeout.',
  },
  ERR_BOOT_DIED: {
    nitro: 36,
    meaning: 'A part of the enclave ended before the heartbeat.',
    hint: 'Run it with --debug-mode to see its console.',
  },
  ERR_BOOT_AGENT: {
    nitro: 36,
    meaning: 'The agent could not prepare the guest.',
    hint: "Read the agent's message above, fix the image and build it again.",
  },
  // --- enclave image format
  ERR_EIF_MAGIC: {
    nitro: 35,
    meaning: 'The file is not an enclave image: it does not begin with ".eif".',
    hint: 'Give the path of an EIF file built by `cloister build-enclave` or nitro-cli.',
  },
  ERR_EIF_VERSION: {
    nitro: 35,
    meaning: 'The enclave image has a version other than 4.',
    hint: 'Build the image again with a current builder.',
  },
  ERR_EIF_HEADER: {
    nitro: 35,
    meaning: 'A field of the image header has an invalid value.',
    hint: 'The file is damaged or was tampered with: download or build it again.',
  },
  ERR_EIF_TRUNCATED: {
    nitro: 35,
    meaning: 'The enclave image is shorter than its header says.',
    hint: 'Copy or build the image again.',
  },
  ERR_EIF_TRAILING_BYTES: {
    nitro: 35,
    meaning: 'The enclave image has bytes after its last section.',
    hint: 'The file is damaged or was tampered with: download or build it again.',
  },
  ERR_EIF_SECTION_TABLE: {
    nitro: 35,
    meaning: 'The section table does not match the sections of the image.',
    hint: 'The file is damaged or was tampered with: download or build it again.',
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
    meaning: 'The enclave image repeats a section that may occur only once.',
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
    meaning: 'The checksum of the enclave image does not match its contents.',
    hint: 'The file is damaged: copy or build it again.',
  },
  ERR_EIF_MANIFEST: {
    nitro: 35,
    meaning: "The manifest in the image's application ramdisk is malformed, or there are two.",
    hint: 'Rebuild the image with this version of Cloister.',
  },
  ERR_EIF_CMDLINE: {
    nitro: 35,
    meaning:
      'The kernel command line is too long, is not one line of printable ASCII, or contains a NUL.',
    hint: 'Give a command line of at most 2047 printable characters, and build the image again.',
  },
  ERR_EIF_METADATA: {
    nitro: 35,
    meaning: 'The metadata of the enclave image is not valid.',
    hint: 'Build the image again; custom metadata must be JSON.',
  },
  ERR_EIF_CONTENT: {
    nitro: 48,
    meaning: 'A part of the image is empty, or changed while the image was being written.',
    hint: 'Build again without changing the input files meanwhile.',
  },
  ERR_EIF_UNREADABLE: {
    nitro: 35,
    nitroIn: { 'run-enclave': 19 },
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
    meaning: 'The signature of the enclave image is invalid, or belongs to another image.',
    hint: 'Do not run it: get the image from its signer again.',
  },
  ERR_EIF_CERTIFICATE: {
    nitro: 59,
    nitroIn: { pcr: 57 },
    meaning: 'The signing certificate is not a PEM certificate.',
    hint: 'Give the PEM file of an X.509 certificate.',
  },
  ERR_EIF_CERTIFICATE_DATES: {
    nitro: 59,
    meaning: 'The signing certificate of the enclave image has expired or is not valid yet.',
    hint: 'Check the clock; if it is right, have the image signed again.',
  },
  ERR_EIF_SIGNING: {
    nitro: 60,
    meaning: 'The enclave image cannot be signed.',
    hint: 'Give a PEM certificate with its private key, on P-256, P-384 or P-521.',
  },
  ERR_SIGNING_KEY: {
    nitro: 60,
    meaning:
      'The signing key cannot be used: it is missing or locked, or its device or service refused to sign.',
    hint: 'Check the name of the key and its password or PIN; docs/signing.md describes each kind of key.',
  },
  // --- chip
  ERR_CHIP_TPM_START: {
    nitro: 0,
    meaning: 'A TPM could not be started or prepared.',
    hint: 'Run `npm run setup`; if this persists, report the output of swtpm above.',
  },
  ERR_CHIP_TPM_GONE: {
    nitro: 0,
    meaning: 'The TPM exited or closed its channel.',
    hint: 'Start the enclave again.',
  },
  ERR_CHIP_TPM_FAILED: {
    nitro: 0,
    meaning: 'The TPM has failed permanently, for example because it could not write its state.',
    hint: "Check the free space where its state is stored (CLOISTER_RUNTIME_DIR for an enclave's TPM, CLOISTER_STATE_DIR for the host's), then start the enclave again.",
  },
  ERR_CHIP_TPM_TIMEOUT: {
    nitro: 0,
    meaning: 'The TPM did not answer a command in time.',
    hint: 'Check whether the host is overloaded or swtpm is stopped.',
  },
  ERR_CHIP_TPM_PROTOCOL: {
    nitro: 0,
    meaning: 'The TPM sent a malformed response.',
    hint: 'Check that swtpm is the one that `npm run setup` installed.',
  },
  ERR_CHIP_TPM_RC: {
    nitro: 0,
    meaning: 'The TPM refused a command; `rc` is its response code.',
    hint: 'Decode it with `tpm2_rc_decode` from tpm2-tools.',
  },
  ERR_CHIP_BUSY: {
    nitro: 0,
    meaning: 'The host chip was in use by another process for too long.',
    hint: 'Try again; `fuser` shows which process uses the chip directory.',
  },
  ERR_CHIP_STATE_EXISTS: {
    nitro: 0,
    meaning: 'The directory for a new TPM is not empty.',
    hint: 'Choose a directory that does not exist or is empty.',
  },
  ERR_CHIP_STATE_MISSING: {
    nitro: 0,
    meaning: 'A file of the host chip or its authority is missing.',
    hint: 'Restore the state directory, or remove `chip` from it to create a new chip.',
  },
  ERR_CHIP_STATE_INVALID: {
    nitro: 0,
    meaning: 'The files of the host chip do not match each other.',
    hint: 'Restore the state directory, or remove `chip` from it to create a new chip.',
  },
  ERR_CHIP_STATE_CHANGED: {
    nitro: 0,
    meaning: 'The state of the host chip belongs to another TPM.',
    hint: 'Restore the state directory, or remove `chip` from it to create a new chip.',
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
    hint: 'Check the clock, or remove `chip` from the state directory to create a new chip.',
  },
  // --- image building
  ERR_IMAGE_REFERENCE: {
    nitro: 50,
    meaning: 'The image name is invalid, or of a kind that is not supported.',
    hint: '`cloister build-enclave --help` lists the supported kinds of names.',
  },
  ERR_IMAGE_TOOL_MISSING: {
    nitro: 50,
    meaning: 'The tool needed to fetch or build the image is not installed.',
    hint: 'Install skopeo for registries and Docker daemons, buildah for Dockerfiles.',
  },
  ERR_IMAGE_PULL: {
    nitro: 50,
    meaning: 'skopeo could not copy the image from the registry or the Docker daemon.',
    hint: 'Check the name; for a private registry, log in first: `skopeo login REGISTRY`.',
  },
  ERR_IMAGE_DOCKERFILE: {
    nitro: 49,
    meaning: 'buildah could not build the Dockerfile.',
    hint: "Read buildah's output above.",
  },
  ERR_PROVENANCE_STATEMENT: {
    nitro: 0,
    meaning: 'The provenance statement cannot be read, or is not one that build-enclave writes.',
    hint: 'Give the file that `cloister build-enclave --provenance FILE` wrote.',
  },
  ERR_PROVENANCE_KEY: {
    nitro: 0,
    meaning: 'The key of a provenance statement cannot be used.',
    hint: 'Give a PEM key on P-256, P-384, P-521 or Ed25519: the private one to sign, the public one or a certificate to verify.',
  },
  ERR_PROVENANCE_SIGNATURE: {
    nitro: 0,
    meaning: 'The provenance statement is not signed by the key that was given.',
    hint: "Do not trust the statement. Get the signer's public key from a source that you trust, and compare.",
  },
  ERR_IMAGE_SOURCE_MISSING: {
    nitro: 7,
    meaning: 'The directory, layout or archive to build from cannot be read.',
    hint: 'Check the path and its permissions.',
  },
  ERR_IMAGE_SOURCE_CHANGED: {
    nitro: 48,
    meaning: 'A file changed while the image was being built.',
    hint: 'Build again without changing the input files meanwhile.',
  },
  ERR_IMAGE_LAYOUT: {
    nitro: 48,
    meaning: 'A document of the OCI image is malformed or of an unsupported type.',
    hint: 'Create the layout again with skopeo, buildah or umoci.',
  },
  ERR_IMAGE_TAG: {
    nitro: 48,
    meaning: 'The layout or archive contains no image of that name, or more than one.',
    hint: 'Append one of the names in the message after a colon: oci:DIR:REF or docker-archive:FILE:NAME.',
  },
  ERR_IMAGE_ARCHITECTURE: {
    nitro: 48,
    meaning: 'The OCI image is not for this architecture.',
    hint: 'Use an image for that architecture, or --arch.',
  },
  ERR_IMAGE_DIGEST: {
    nitro: 48,
    meaning: 'A part of the OCI image does not match its digest.',
    hint: 'The layout is damaged or was tampered with: copy the image again.',
  },
  ERR_IMAGE_LAYER: {
    nitro: 48,
    meaning: 'A layer of the OCI image cannot be unpacked.',
    hint: 'Copy the image again.',
  },
  ERR_IMAGE_TAR: {
    nitro: 48,
    meaning: 'An archive in the image is malformed or in an unsupported format.',
    hint: 'Build the image again with a common builder.',
  },
  ERR_IMAGE_PATH: {
    nitro: 48,
    meaning:
      'A path in the image leads out of the image, through a file or through too many links, or is not valid on Linux.',
    hint: 'Remove that entry from the image.',
  },
  ERR_IMAGE_ENTRY: {
    nitro: 48,
    meaning: 'The image has an entry that cannot be unpacked, such as a hard link to nothing.',
    hint: 'Remove that entry from the image.',
  },
  ERR_IMAGE_LIMIT: {
    nitro: 48,
    meaning: 'The image exceeds a limit on size, files, names or layers.',
    hint: 'Make the image smaller; docs/limits.md lists the limits.',
  },
  ERR_IMAGE_CONFIG: {
    nitro: 48,
    meaning: 'The image does not say what to run, or its configuration is invalid.',
    hint: 'Give --entrypoint and --cmd, variables as KEY=value, and an absolute working directory.',
  },
  ERR_IMAGE_USER: {
    nitro: 48,
    meaning: 'The user or group of the image is not in its /etc/passwd or /etc/group.',
    hint: 'Add it to the image, or give numbers with --user.',
  },
  ERR_IMAGE_ROOT: {
    nitro: 48,
    meaning: 'The root file system could not be packed as --root requires.',
    hint: 'Build with --root cpio, or with a kernel and a command line that can mount such an image.',
  },
  ERR_IMAGE_EGRESS: {
    nitro: 19,
    meaning:
      "An image's manifest has egress rules, but its kernel does not support the network device.",
    hint: 'Build with a kernel that has CONFIG_TUN, such as the ones from the set-up, or remove egress from the manifest.',
  },
  ERR_IMAGE_BLOBS: {
    nitro: 19,
    meaning: 'The kernel or the agent for the image is missing or unusable.',
    hint: 'Run `npm run setup`, or give the directory that contains them with --blobs. `bash enclave-images/build.sh build/blobs` also builds the kernel `minimal`.',
  },
  // --- nsm
  ERR_NSM_QUOTE_MISMATCH: {
    nitro: 0,
    meaning: 'The PCRs that the TPM of an enclave quotes differ from those of its NSM.',
    hint: 'Terminate the enclave: another program has changed its TPM.',
  },
  // --- key broker
  ERR_KMS_REQUEST: {
    nitro: 0,
    meaning:
      'A request to the key broker is not JSON that it can read; the client gets SerializationException.',
    hint: 'Send JSON without repeated keys, at most 64 levels deep.',
  },
  ERR_KMS_CREDENTIALS: {
    nitro: 3,
    meaning: "The key broker's file of principals is missing, readable by others, or malformed.",
    hint: 'docs/kms.md shows the file.',
  },
  ERR_KMS_MASTER_KEY: {
    nitro: 3,
    meaning:
      "The key broker's master key cannot be read or made by its token, or belongs to another store.",
    hint: 'Give the passphrase, key file, token or TPM that the store was made with. Without it the keys in the store are lost.',
  },
  ERR_KMS_STORE: {
    nitro: 0,
    meaning: "The key broker's store is in use, damaged, or cannot be written.",
    hint: 'It needs a directory of its own that this user may write, with room on its disk, and that no other broker uses.',
  },
  ERR_KMS_ROLLBACK: {
    nitro: 0,
    meaning:
      "The key broker's store is older than the counter in the TPM says: a copy was put in its place.",
    hint: 'Put the latest copy of the store back. To continue with an older one on purpose, restore a backup with `cloister kms restore`.',
  },
  ERR_KMS_ROOTS: {
    nitro: 0,
    meaning:
      'The key broker was started with other roots than the brokers of its store had before.',
    hint: 'Start it with the same --root and --aws-root. To change them on purpose, stop all brokers of the store, and start the first one again with --change-roots.',
  },
  ERR_KMS_BACKUP: {
    nitro: 0,
    meaning: "A backup of the key broker's store cannot be written, or cannot be restored.",
    hint: 'Check both paths, their permissions, and the free space of the disk. The store that was backed up is unchanged.',
  },
  ERR_KMS_CLOCK: {
    nitro: 0,
    meaning:
      "The host's clock is behind the last entry of the key broker's audit log, or was set back.",
    hint: 'Correct the clock: expirations, waiting periods and the age of documents depend on it.',
  },
  ERR_KMS_CORE_DUMPS: {
    nitro: 0,
    meaning:
      'The key broker could not prevent core dumps of its own process. It answers all the same.',
    hint: 'Install prlimit (util-linux), or disable core dumps with `ulimit -c 0` before you start the broker.',
  },
  ERR_KMS_LISTEN: {
    nitro: 0,
    meaning: 'The key broker cannot listen on that address and port.',
    hint: 'Give another port, or 0 for any, and an address of this host; below 1024 the broker needs CAP_NET_BIND_SERVICE.',
  },
  ERR_KMS_TLS: {
    nitro: 0,
    meaning: "The key broker's TLS certificate or its key cannot be used.",
    hint: 'Give PEM files of a certificate that is valid today, with its chain, and of its key, which only its owner may read.',
  },
  ERR_KMS_AUDIT: {
    nitro: 0,
    meaning: "The key broker's audit log was changed.",
    hint: 'Compare it with a backup: entries from the named one on cannot be relied on.',
  },
  ERR_KMS_DECISION: {
    nitro: 0,
    meaning: 'A key policy decides otherwise than `kms policy test` was told to expect.',
    hint: 'See the statements on standard output: each says which of its parts did not match.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof rows

export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = rows
