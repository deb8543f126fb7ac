// The program `cloister`: global options, the list of commands, and how arguments are read. Of the
// commands only the one that is called is loaded.

import { Command, CommanderError, Option } from 'commander'
import { errorTable } from '../error-table.ts'
import { CloisterError } from '../errors.ts'
import type { CommandRow } from './command-row.ts'
import { commandTable } from './command-table.ts'
import { shellWord } from '../shell-word.ts'
import { checkOptionValues } from './parse-arguments.ts'
import { packageVersion } from './version.ts'

/** The status of a call without a command: help is printed, as by nitro-cli. */
const NO_COMMAND = 2

/**
 * Runs one command.
 *
 * @param args - What follows the program's name.
 * @param begins - Gets the command's name when its arguments are read and it begins.
 * @returns The exit status, when the command has set none.
 * @throws What the command throws, or commander of the arguments.
 */
export async function runProgram(
  args: readonly string[],
  begins: (command: string) => void,
): Promise<typeof process.exitCode> {
  const called = calledName(args) ?? ''
  const row = commandTable.find(({ name, alias }) => name === called || alias === called)
  // commander's `help` prints the list for a command that does not exist; called, it is an error.
  if (row === undefined && args[0] === 'help' && !['', 'help'].includes(called))
    return runProgram([called], begins)
  const program = row === undefined ? listingProgram() : emptyProgram()
  if (row !== undefined) addCommand(program, row, await row.load())
  program.hook('preAction', (_program, command) => {
    begins(command.name())
  })
  try {
    checkHelpTopic(program, args)
    checkOptionValues(program, args)
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw withOwnHelp(error, program, args)
    if (error.exitCode === 0) return 0
    // The help was printed because there was nothing else to do.
    if (error.code === 'commander.help') return NO_COMMAND
    throw withOwnHelp(await argumentError(error, program, args), program, args)
  }
  return process.exitCode
}

/** commander prints a command's own help for `kms help unknown`. */
function checkHelpTopic(program: Command, args: readonly string[]): void {
  const names = args.filter((arg) => !arg.startsWith('-'))
  const at = names.indexOf('help')
  const command = calledCommand(program, names.slice(0, Math.max(at, 0)))
  const topic = names[at + 1]
  if (at < 1 || topic === undefined || topic === 'help' || command.commands.length === 0) return
  if (command.commands.every((it) => it.name() !== topic && !it.aliases().includes(topic)))
    throw new CloisterError('ERR_CLI_ARGUMENT', `unknown command '${topic}'`, {
      hint: `See \`${fullName(command)} --help\`.`,
    })
}

/** What commander says of arguments, in one line, and of two faults the one that explains the other. */
async function argumentError(
  error: CommanderError,
  program: Command,
  args: readonly string[],
): Promise<CloisterError> {
  const command = calledCommand(program, args)
  if (error.code === 'commander.excessArguments') return excessArguments(command)
  if (error.code === 'commander.missingMandatoryOptionValue') {
    const other = await otherFault(command, program, args)
    if (other !== undefined) return argumentError(other, program, args)
  }
  const message = error.message
    .replace(/^error: /, '')
    .replace(/\n\(Did you mean (.*)\?\)$/s, ' (did you mean $1?)')
  return new CloisterError('ERR_CLI_ARGUMENT', message)
}

/**
 * What is wrong beside a missing option: commander looks for that one first, although a misspelt option or
 * a value without one (`describe-eif hello.eif`) is the reason.
 */
async function otherFault(
  command: Command,
  program: Command,
  args: readonly string[],
): Promise<CommanderError | undefined> {
  for (const option of command.options) option.mandatory = false
  command.action(() => undefined)
  try {
    await program.parseAsync(args, { from: 'user' })
    return undefined
  } catch (error) {
    if (error instanceof CommanderError) return error
    throw error
  }
}

/** An error about arguments that has no advice of its own names the help of the command it is about. */
function withOwnHelp(error: unknown, program: Command, args: readonly string[]): unknown {
  if (!(error instanceof CloisterError)) return error
  const { code, message, details, cause } = error
  if (code !== 'ERR_CLI_ARGUMENT' || error.hint !== errorTable.ERR_CLI_ARGUMENT.hint) return error
  const hint = `See \`${fullName(calledCommand(program, args))} --help\`.`
  return new CloisterError(code, message, { hint, details, cause })
}

/** The command that is called, at whatever level; the program where there is none. */
function calledCommand(program: Command, args: readonly string[]): Command {
  let command = program
  for (const arg of args.filter((it) => !it.startsWith('-'))) {
    const next = command.commands.find((it) => it.name() === arg || it.aliases().includes(arg))
    if (next === undefined) break
    command = next
  }
  return command
}

/** As it is called: `cloister kms serve`. */
function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`
}

/** The program with the name and the summary of every command: what its help shows. */
function listingProgram(): Command {
  const program = emptyProgram()
  for (const row of commandTable) addCommand(program, row, new Command(row.name))
  return program
}

function emptyProgram(): Command {
  return (
    new Command('cloister')
      .description('AWS Nitro Enclaves for any KVM host: build, run, attest, verify')
      .version(packageVersion())
      .addOption(verboseOption())
      // `--version` after a command is that command's option, not a question to cloister.
      .enablePositionalOptions()
      .exitOverride()
      .configureOutput({ outputError: () => undefined })
      .addHelpText('after', '\nExample:\n  cloister demo\n')
  )
}

function addCommand(program: Command, { alias, summary }: CommandRow, command: Command): void {
  if (alias !== undefined) command.alias(alias)
  adopt(command.description(summary), program)
  program.addCommand(command)
}

/** Gives a command, and the commands under it, what all commands share. */
function adopt(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent).addOption(verboseOption())
  for (const child of command.commands) adopt(child, command)
}

/** The command that is called, or that help is asked of. */
function calledName(args: readonly string[]): string | undefined {
  const [first, second] = args.filter((arg) => !arg.startsWith('-'))
  return first === 'help' ? second : first
}

/** Of `cloister` and of every command: it may stand on either side of the command's name. */
function verboseOption(): Option {
  return new Option('--verbose', 'report errors with every detail, cause and stack')
}

/** A value that no option precedes, as in `cloister run hello.eif`. */
function excessArguments(command: Command): CloisterError {
  const [value = ''] = command.args.slice(command.registeredArguments.length)
  const message = `unexpected argument '${value}'`
  const takesValues = command.options.some(({ required }) => required)
  const wanted = ['--eif-path', '--enclave-name'].find((flag) =>
    command.options.some(({ long }) => long === flag),
  )
  if (wanted !== undefined)
    return new CloisterError('ERR_CLI_ARGUMENT', `${message} without an option in front`, {
      hint: `Give \`${wanted} ${shellWord(value)}\`, or see \`${fullName(command)} --help\`.`,
    })
  if (!takesValues) return new CloisterError('ERR_CLI_ARGUMENT', message)
  return new CloisterError('ERR_CLI_ARGUMENT', `${message} without an option in front`, {
    hint: `See \`${fullName(command)} --help\` for the option that takes this value.`,
  })
}
