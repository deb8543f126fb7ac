// What can be completed, as data: commands, their options, and what an option takes.

import type { Command, Option } from 'commander'
import type { CommandRow } from './command-row.ts'

/** What an option's value is: one of some words, a file, an enclave, other text; or it has none. */
export type Value =
  | { readonly kind: 'none' | 'text' | 'file' | 'enclave-id' | 'enclave-name' }
  | { readonly kind: 'choice'; readonly words: readonly string[] }

export interface OptionWords {
  /** With their dashes, the short one first. */
  readonly names: readonly string[]
  readonly text: string
  readonly value: Value
}

export interface CommandWords {
  /** The command's name, and its alias; of a command inside of another, words with spaces between them. */
  readonly names: readonly string[]
  readonly text: string
  readonly options: readonly OptionWords[]
  /** What follows without an option: words, or a program with its arguments. */
  readonly operands: readonly string[] | 'program'
}

/** Loads every command, with those inside of it. */
export async function describeCommands(
  rows: readonly CommandRow[],
): Promise<readonly CommandWords[]> {
  const described = rows.map(async ({ name, alias, summary, load }) => {
    const command = await load()
    const names = [name, ...(alias === undefined ? [] : [alias])]
    return [describeCommand(command, names, summary), ...innerCommands(command, names)]
  })
  return (await Promise.all(described)).flat()
}

function innerCommands({ commands }: Command, outer: readonly string[]): readonly CommandWords[] {
  return commands.flatMap((command) => {
    const names = outer.map((name) => `${name} ${command.name()}`)
    const described = describeCommand(command, names, command.description())
    return [described, ...innerCommands(command, names)]
  })
}

function describeCommand(
  { options, registeredArguments, commands }: Command,
  names: readonly string[],
  text: string,
): CommandWords {
  const choices = registeredArguments.flatMap(({ argChoices }) => argChoices ?? [])
  const inner = commands.map((command) => command.name())
  return {
    ...{ names, text, options: options.map(describeOption) },
    operands: names.includes('parent') ? 'program' : [...choices, ...inner],
  }
}

function describeOption(option: Option): OptionWords {
  const names = [option.short, option.long].filter((name) => name !== undefined)
  return { names, text: option.description, value: valueOf(option) }
}

/** By the option's choices, its name, or the placeholder in its flags: `<file>`, `<dir>`, `<pem>`. */
function valueOf({ argChoices, flags, long, required, optional }: Option): Value {
  if (argChoices !== undefined) return { kind: 'choice', words: argChoices }
  if (long === '--enclave-id') return { kind: 'enclave-id' }
  if (long === '--enclave-name') return { kind: 'enclave-name' }
  if (/<(file|dir|pem)(\.\.\.)?>/.test(flags)) return { kind: 'file' }
  return { kind: required || optional ? 'text' : 'none' }
}
