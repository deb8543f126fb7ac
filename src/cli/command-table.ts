// Every command: what the list of commands says of it, and where it is.

import type { CommandRow } from './command-row.ts'

export const commandTable: readonly CommandRow[] = [
  {
    name: 'build-enclave',
    alias: 'build',
    summary: 'build an enclave image from a container image, a Dockerfile or a root file system',
    load: async () => (await import('./build-enclave.ts')).buildEnclaveCommand(),
  },
  {
    name: 'run-enclave',
    alias: 'run',
    summary: 'start an enclave from an EIF',
    load: async () => (await import('./run-enclave.ts')).runEnclaveCommand(),
  },
  {
    name: 'describe-enclaves',
    alias: 'list',
    summary: 'list running enclaves with their ports and traffic',
    load: async () => (await import('./describe-enclaves.ts')).describeEnclavesCommand(),
  },
  {
    name: 'terminate-enclave',
    alias: 'stop',
    summary: 'terminate a running enclave, or remove the record of an ended one',
    load: async () => (await import('./terminate-enclave.ts')).terminateEnclaveCommand(),
  },
  {
    name: 'console',
    summary: 'print the console of a debug enclave, running or ended',
    load: async () => (await import('./console.ts')).consoleCommand(),
  },
  {
    name: 'events',
    summary: 'print what happens to the enclaves of this host, as JSON lines',
    load: async () => (await import('./events.ts')).eventsCommand(),
  },
  {
    name: 'logs',
    summary: 'print the log lines that an enclave declares, running or ended',
    load: async () => (await import('./logs.ts')).logsCommand(),
  },
  {
    name: 'connect',
    summary: 'connect standard input and output to a vsock port of the guest',
    load: async () => (await import('./connect.ts')).connectCommand(),
  },
  {
    name: 'wait',
    summary: 'wait until an enclave has ended, or until its app listens',
    load: async () => (await import('./wait.ts')).waitCommand(),
  },
  {
    name: 'open-ports',
    summary: 'open further vsock ports of a running enclave',
    load: async () => (await import('./ports.ts')).openPortsCommand(),
  },
  {
    name: 'close-ports',
    summary: 'close vsock ports of a running enclave; connections on them are reset',
    load: async () => (await import('./ports.ts')).closePortsCommand(),
  },
  {
    name: 'parent',
    summary: "run a program written for AF_VSOCK, connected to this host's enclaves",
    load: async () => (await import('./parent.ts')).parentCommand(),
  },
  {
    name: 'forward',
    summary: 'forward ports of this host to a guest, and ports of its parent to this host',
    load: async () => (await import('./forward.ts')).forwardCommand(),
  },
  {
    name: 'vsock-proxy',
    summary: "let enclaves reach the servers of an allowlist, as AWS's vsock-proxy does",
    load: async () => (await import('./vsock-proxy.ts')).vsockProxyCommand(),
  },
  {
    name: 'metrics',
    summary: "print counters of the running enclaves in Prometheus' text format",
    load: async () => (await import('./metrics.ts')).metricsCommand(),
  },
  {
    name: 'inspect',
    summary: 'print everything about an enclave: devices, TPM, processes, traffic, its start',
    load: async () => (await import('./inspect.ts')).inspectCommand(),
  },
  {
    name: 'top',
    summary: 'show what the running enclaves use, live on a terminal',
    load: async () => (await import('./top.ts')).topCommand(),
  },
  {
    name: 'describe-eif',
    summary: 'check an enclave image and print its measurements and metadata',
    load: async () => (await import('./describe-eif.ts')).describeEifCommand(),
  },
  {
    name: 'sign-eif',
    alias: 'sign',
    summary: 'sign an enclave image, or replace its signature',
    load: async () => (await import('./sign-eif.ts')).signEifCommand(),
  },
  {
    name: 'reproduce',
    summary: 'build an image again from a statement about its build, and compare',
    load: async () => (await import('./reproduce.ts')).reproduceCommand(),
  },
  {
    name: 'diff-eif',
    alias: 'diff',
    summary: 'compare two enclave images: sections, files in ramdisks, PCRs',
    load: async () => (await import('./diff-eif.ts')).diffEifCommand(),
  },
  {
    name: 'extract-eif',
    alias: 'extract',
    summary: 'write the parts of an enclave image into a directory',
    load: async () => (await import('./extract-eif.ts')).extractEifCommand(),
  },
  {
    name: 'lint-eif',
    alias: 'lint',
    summary: 'check an enclave image against the rules of AWS, QEMU and Cloister',
    load: async () => (await import('./lint-eif.ts')).lintEifCommand(),
  },
  {
    name: 'pcr',
    summary: 'print the PCR of a file, a certificate, an enclave image or an identity',
    load: async () => (await import('./pcr.ts')).pcrCommand(),
  },
  {
    name: 'verify',
    summary: 'verify an attestation document and print what it proves',
    load: async () => (await import('./verify.ts')).verifyCommand(),
  },
  {
    name: 'doctor',
    summary: 'check whether this host can run enclaves, and how to fix what is missing',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  {
    name: 'prune',
    summary: 'remove the records of ended enclaves and what crashed ones left behind',
    load: async () => (await import('./prune.ts')).pruneCommand(),
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands and options in bash, zsh or fish',
    load: async () => (await import('./completion.ts')).completionCommand(commandTable),
  },
  {
    name: 'explain',
    summary: "explain an error, by nitro-cli's number or by its code",
    load: async () => (await import('./explain.ts')).explainCommand(),
  },
  {
    name: 'kms',
    summary: "run a key broker with AWS KMS's API for attested enclaves; test key policies",
    load: async () => (await import('./kms.ts')).kmsCommand(),
  },
  {
    name: 'policy',
    summary:
      'explain what egress rules decide about a host and a port, and which rule would allow it',
    load: async () => (await import('./policy.ts')).policyCommand(),
  },
  {
    name: 'demo',
    summary: 'build, run, attest and verify the example image, end to end',
    load: async () => (await import('./demo.ts')).demoCommand(),
  },
]
