// cloister logs: the lines that an enclave's manifest lets leave, also after its end.

import { Command } from 'commander'
import { openDirectories, readLogs, Registry, type LogEntry } from '../enclaves/index.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'
import { escapeControls, printLine } from './print.ts'
import { parseSince } from './since.ts'

interface LogsOptions extends EnclaveFlags {
  readonly follow?: boolean
  /** ms since 1970 */
  readonly since?: number
  readonly json?: boolean
}

export function logsCommand(): Command {
  return new Command('logs')
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .option('-f, --follow', 'follow the log until the enclave ends')
    .option('--since <when>', 'RFC 3339, or how long ago: 90s, 10m, 2h, 1d', parseSince)
    .option('--json', 'print one JSON object per line')
    .addHelpText(
      'after',
      '\nOnly lines declared in the manifest (cloister.yaml) leave the enclave. An enclave in debug mode has a\nconsole instead.' +
        ' Control characters are shown as escapes.\n' +
        '\nExample:\n  cloister logs --enclave-name web --follow --since 10m\n',
    )
    .action(showLogs)
}

async function showLogs({ follow, since, json, ...flags }: LogsOptions): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  const record = findEnclave(registry, flags)
  const options = { follow: follow === true, ...(since !== undefined && { sinceMs: since }) }
  const show = json === true ? JSON.stringify : describe
  for await (const entry of readLogs(registry, record, options)) {
    await printLine(escapeControls(show(entry)).replaceAll('\n', '\\u000a'))
  }
}

function describe(entry: LogEntry): string {
  if ('dropped' in entry) return `${entry.time} -- ${String(entry.dropped)} lines were dropped --`
  const { time, stream, line, cut } = entry
  const more = cut === undefined ? '' : ` -- ${String(cut)} bytes were cut --`
  return `${time} ${stream} ${line}${more}`
}
