// The commands of `cloister` and what they share: global options, and how arguments are read.

import { Command, CommanderError, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { buildEnclaveCommand } from './build-enclave.ts'
import { connectCommand } from './connect.ts'
import { consoleCommand } from './console.ts'
import { demoCommand } from './demo.ts'
import { describeEifCommand } from './describe-eif.ts'
import { describeEnclavesCommand } from './describe-enclaves.ts'
import { metricsCommand } from './metrics.ts'
import { parentCommand } from './parent.ts'
import { checkOptionValues } from './parse-arguments.ts'
import { pcrCommand } from './pcr.ts'
import { closePortsCommand, openPortsCommand } from './ports.ts'
import { runEnclaveCommand } from './run-enclave.ts'
import { terminateEnclaveCommand } from './terminate-enclave.ts'
import { verifyCommand } from './verify.ts'
import { packageVersion } from './version.ts'

const program = new Command('cloister')
  .description('AWS Nitro Enclaves for any KVM host: build, run, attest, verify')
  .version(packageVersion())
  .addOption(verboseOption())
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
  connectCommand(),
  openPortsCommand(),
  closePortsCommand(),
  parentCommand(),
  metricsCommand(),
  describeEifCommand(),
  pcrCommand(),
  verifyCommand(),
  demoCommand(),
]
for (const command of commands) {
  program.addCommand(command.copyInheritedSettings(program).addOption(verboseOption()))
}

/** Of `cloister` and of every command: it may stand on either side of the command's name. */
function verboseOption(): Option {
  return new Option('--verbose', 'report errors with every detail, cause and stack')
}

/**
 * Runs one command.
 *
 * @param args - What follows the program's name.
 * @throws What the command throws, or commander of the arguments.
 */
export async function runProgram(args: readonly string[]): Promise<void> {
  checkOptionValues(program, args)
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return
    if (error.code === 'commander.excessArguments') throw excessArguments(args)
    // The help was printed because there was nothing else to do.
    if (error.code !== 'commander.help') throw error
    throw new CloisterError('ERR_CLI_ARGUMENT', 'no command, or an unknown one, was given', {
      hint: 'Give one of the commands that are listed above.',
    })
  }
}

/** A value that no option precedes, as in `cloister run hello.eif`. */
function excessArguments(args: readonly string[]): CloisterError {
  const command = program.commands.find((it) =>
    [it.name(), ...it.aliases()].some((name) => args.includes(name)),
  )
  const name = command?.name() ?? '<command>'
  const message = `${name} does not expect ${(command?.args ?? []).join(' ')} without an option in front`
  const hint = `See \`cloister ${name} --help\` for the option that takes this value.`
  return new CloisterError('ERR_CLI_ARGUMENT', message, { hint })
}
