// cloister completion: a script that completes commands, options and their values, made from the
// commands themselves.

import { Argument, Command } from 'commander'
import type { CommandRow } from './command-row.ts'
import { bashCompletion, fishCompletion, zshCompletion } from './completion-scripts.ts'
import { describeCommands } from './completion-words.ts'

const scripts = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const
type Shell = keyof typeof scripts

/** @param rows - Every command there is. */
export function completionCommand(rows: readonly CommandRow[]): Command {
  return new Command('completion')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      `
In ~/.bashrc:                     source <(cloister completion bash)
In ~/.zshrc, behind compinit:     source <(cloister completion zsh)
In ~/.config/fish/config.fish:    cloister completion fish | source

Example:
  cloister completion bash
`,
    )
    .action(async (shell: Shell) => {
      process.stdout.write(scripts[shell](await describeCommands(rows)))
    })
}
