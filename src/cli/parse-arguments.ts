// Reading argv with commander, where commander guesses: an option that lacks its value takes the
// next option as that value, so `--role --debug-mode` would start a production enclave; of an option
// that is given twice it takes the last value and drops the others.

import type { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { RepeatedOption } from './arguments.ts'

/**
 * Refuses an option whose value is missing because another option of the same command follows;
 * `--option=--value` gives a value that looks like one. Refuses a second value of an option that takes one.
 *
 * @param args - What follows the program's name.
 * @throws `ERR_CLI_ARGUMENT`
 */
export function checkOptionValues(program: Command, args: readonly string[]): void {
  const at = args.findIndex((arg) => !arg.startsWith('-'))
  const name = args[at] ?? ''
  const command = program.commands.find((it) => it.name() === name || it.aliases().includes(name))
  if (command === undefined) return
  if (command.commands.length > 0) {
    checkOptionValues(command, args.slice(at + 1))
    return
  }
  const optionOf = (arg = ''): Option | undefined =>
    command.options.find(({ short, long }) => arg === short || arg === long)
  const given = new Set<Option>()
  for (let n = at + 1; n < args.length && args[n] !== '--'; n++) {
    const [word, value] = (args[n] ?? '').split('=')
    const option = optionOf(word)
    if (option?.required !== true) continue
    if (given.has(option) && !takesSeveral(option)) throw secondValue(option)
    given.add(option)
    if (value !== undefined) continue
    const [next] = (args[n + 1] ?? '').split('=')
    if (optionOf(next) === undefined) n++
    else throw missingValue(option.flags, args[n + 1] ?? '')
  }
}

function takesSeveral(option: Option): boolean {
  return option.variadic || option instanceof RepeatedOption
}

function secondValue({ flags, long, short }: Option): CloisterError {
  const name = long ?? short ?? flags
  return new CloisterError('ERR_CLI_ARGUMENT', `option '${flags}' is given twice`, {
    hint: `Give ${name} once. An option that takes a list takes it in one value.`,
  })
}

function missingValue(flags: string, next: string): CloisterError {
  const [name = ''] = flags.split(' ')
  return new CloisterError('ERR_CLI_ARGUMENT', `option '${flags}' needs a value`, {
    details: { followedBy: next },
    hint: `Give the value before ${next}, or write ${name}=${next} if that is the value.`,
  })
}
