// cloister events: what happens to the enclaves of this host, one JSON object a line.

import { Command } from 'commander'
import { openDirectories, readEvents, Registry, type EnclaveEvent } from '../enclaves/index.ts'
import { enclaveIdOption, enclaveNameOption, type EnclaveFlags } from './find-enclave.ts'
import { escapeControls, printLine } from './print.ts'
import { parseSince } from './since.ts'

interface EventsOptions extends EnclaveFlags {
  readonly follow?: boolean
  /** ms since 1970 */
  readonly since?: number
}

export function eventsCommand(): Command {
  return new Command('events')
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .option('-f, --follow', 'keep printing new events')
    .option('--since <when>', 'RFC 3339, or how long ago: 90s, 10m, 2h, 1d', parseSince)
    .addHelpText(
      'after',
      '\nEach line has time, enclaveId, enclaveName and event: starting, running, terminating, ended, removed,\n' +
        'refused for a destination that the rules of its network deny, or note for another line of the journal.\n' +
        'Events are read from records and journals, which are bounded: the events of an enclave are available as\n' +
        'long as describe-enclaves --all shows it.\n' +
        '\nExample:\n  cloister events --follow --since 10m\n',
    )
    .action(showEvents)
}

async function showEvents({ follow, since, ...flags }: EventsOptions): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  const options = { follow: follow === true, ...(since !== undefined && { sinceMs: since }) }
  for await (const event of readEvents(registry, options))
    if (isWanted(event, flags)) await printLine(escapeControls(JSON.stringify(event)))
}

/** An enclave that is not there yet may be wanted too. */
function isWanted(event: EnclaveEvent, { enclaveId, enclaveName }: EnclaveFlags): boolean {
  return (
    (enclaveId === undefined || enclaveId === event.enclaveId) &&
    (enclaveName === undefined || enclaveName === event.enclaveName)
  )
}
