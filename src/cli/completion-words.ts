// What can be completed, as data: commands, their options, and what an option takes.

import type { Option } from 'commander'
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
  /** The command's name, and its alias. */
  readonly names: readonly string[]
  readonly text: string
  readonly options: readonly OptionWords[]
  /** What follows without an option: words, or a program with its arguments. */
  readonly operands: readonly string[] | 'program'
}

/** Loads every command. */
export function describeCommands(rows: readonly CommandRow[]): Promise<readonly CommandWords[]> {
  return Promise.all(
    rows.map(async ({ name, alias, summary, load }) => {
      const { options, registeredArguments, commands } = await load()
      const choices = registeredArguments.flatMap(({ argChoices }) => argChoices ?? [])
      const inner = commands.map((command) => command.name())
      const allOptions = [...options, ...commands.flatMap((command) => command.options)]
      return {
        names: [name, ...(alias === undefined ? [] : [alias])],
        text: summary,
        options: uniqueOptions(allOptions).map(describeOption),
        operands: name === 'parent' ? 'program' : [...choices, ...inner],
      }
    }),
  )
}

/** Commands of a command may share an option. */
function uniqueOptions(options: readonly Option[]): readonly Option[] {
  return [...new Map(options.map((option) => [option.flags, option])).values()]
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
