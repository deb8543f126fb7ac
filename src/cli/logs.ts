// cloister logs: the lines that an enclave's manifest lets leave, also after its end.

import { Command, InvalidArgumentError } from 'commander'
import { openDirectories, readLogs, Registry, type LogEntry } from '../enclaves/index.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'
import { escapeControls } from './print.ts'

interface LogsOptions extends EnclaveFlags {
  readonly follow?: boolean
  /** ms since 1970 */
  readonly since?: number
  readonly json?: boolean
}

const MS_PER: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
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

function parseSince(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const ago = Number(digits) * (MS_PER[unit ?? ''] ?? NaN)
  const time = digits === undefined ? Date.parse(text) : Date.now() - ago
  const isAbsolute = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)
  if (Number.isFinite(time) && (digits !== undefined || isAbsolute)) return time
  throw new InvalidArgumentError(
    'It must be a time such as 2026-01-31T12:00:00Z, or 90s, 10m, 2h, 1d.',
  )
}

async function showLogs({ follow, since, json, ...flags }: LogsOptions): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  const record = findEnclave(registry, flags)
  const options = { follow: follow === true, ...(since !== undefined && { sinceMs: since }) }
  const show = json === true ? JSON.stringify : describe
  for await (const entry of readLogs(registry, record, options)) {
    const text = escapeControls(show(entry)).replaceAll('\n', '\\u000a')
    // A reader that is slow holds up this command, not the enclave.
    if (!process.stdout.write(`${text}\n`))
      await new Promise((resolve) => process.stdout.once('drain', resolve))
  }
}

function describe(entry: LogEntry): string {
  if ('dropped' in entry) return `${entry.time} -- ${String(entry.dropped)} lines were dropped --`
  const { time, stream, line, cut } = entry
  const more = cut === undefined ? '' : ` -- ${String(cut)} bytes were cut --`
  return `${time} ${stream} ${line}${more}`
}
