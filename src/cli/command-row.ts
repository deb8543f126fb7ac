// A row of the list of commands. A command is loaded when it is called, so that the others cost it no
// time.

import type { Command } from 'commander'

export interface CommandRow {
  readonly name: string
  /** A short name, where nitro-cli's is long. */
  readonly alias?: string
  /** One line, for the list of commands and for the command's own help. */
  readonly summary: string
  /** Options and action; name, alias and summary come from here. */
  readonly load: () => Promise<Command>
}
