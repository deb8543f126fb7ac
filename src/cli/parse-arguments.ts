// Reading argv with commander, where commander guesses: an option that lacks its value takes the
// next option as that value, so `--role --debug-mode` would start a production enclave.

import type { Command } from 'commander'
import { CloisterError } from '../errors.ts'

/**
 * Refuses an option whose value is missing because another option of the same command follows;
 * `--option=--value` gives a value that looks like one.
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
  const optionOf = (arg: string | undefined): Command['options'][number] | undefined =>
    command.options.find(({ short, long }) => arg === short || arg === long)
  for (let n = at + 1; n < args.length && args[n] !== '--'; n++) {
    const option = optionOf(args[n])
    if (option?.required !== true) continue
    const [next] = (args[n + 1] ?? '').split('=')
    if (optionOf(next) === undefined) n++
    else throw missingValue(option.flags, args[n + 1] ?? '')
  }
}

function missingValue(flags: string, next: string): CloisterError {
  const [name = ''] = flags.split(' ')
  return new CloisterError('ERR_CLI_ARGUMENT', `option '${flags}' needs a value`, {
    details: { followedBy: next },
    hint: `Give the value before ${next}, or write ${name}=${next} if that is the value.`,
  })
}
