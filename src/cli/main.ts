#!/usr/bin/env node
// `cloister`: parses argv, runs one command, turns an error into text and an exit status.

import { constants } from 'node:os'
import { Command, CommanderError } from 'commander'
import { buildEnclaveCommand } from './build-enclave.ts'
import { consoleCommand } from './console.ts'
import { demoCommand } from './demo.ts'
import { describeEifCommand } from './describe-eif.ts'
import { describeEnclavesCommand } from './describe-enclaves.ts'
import { metricsCommand } from './metrics.ts'
import { pcrCommand } from './pcr.ts'
import { closePortsCommand, openPortsCommand } from './ports.ts'
import { reportError } from './report-error.ts'
import { runEnclaveCommand } from './run-enclave.ts'
import { terminateEnclaveCommand } from './terminate-enclave.ts'
import { verifyCommand } from './verify.ts'
import { packageVersion } from './version.ts'

// A reader that has seen enough (`| head -1`) is no error: the status is a shell's for SIGPIPE.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(128 + constants.signals.SIGPIPE)
  throw error
})

// With the status a shell gives a program that dies of the signal, but not before what was begun is
// undone (`exit` handlers).
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(128 + constants.signals[signal]))

const program = new Command('cloister')
  .description('AWS Nitro Enclaves for any KVM host: build, run, attest, verify')
  .version(packageVersion())
  // `--version` after a command is that command's option, not a question to cloister.
  .enablePositionalOptions()
  .exitOverride()
  .configureOutput({ outputError: () => undefined })
  .addHelpText('after', '\nExample:\n  cloister demo\n')

const commands = [
  buildEnclaveCommand(),
  runEnclaveCommand(),
  describeEnclavesCommand(),
  terminateEnclaveCommand(),
  consoleCommand(),
  openPortsCommand(),
  closePortsCommand(),
  metricsCommand(),
  describeEifCommand(),
  pcrCommand(),
  verifyCommand(),
  demoCommand(),
]
for (const command of commands) program.addCommand(command.copyInheritedSettings(program))

try {
  await program.parseAsync()
} catch (error) {
  const isHelp = error instanceof CommanderError && error.exitCode === 0
  if (!isHelp) process.exitCode = reportError(error)
}
