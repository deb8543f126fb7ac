import { Transform, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { openConsole, openDirectories, Registry } from '../enclaves/index.ts'
import { wholeNumber } from './arguments.ts'

interface ConsoleOptions {
  readonly enclaveId?: string
  readonly enclaveName?: string
  readonly disconnectTimeout?: number
  readonly raw?: boolean
}

export function consoleCommand(): Command {
  return new Command('console')
    .addOption(new Option('--enclave-id <id>').conflicts('enclaveName'))
    .option('--enclave-name <name>')
    .option('--disconnect-timeout <seconds>', 'stop after this many seconds', wholeNumber(1, 86400))
    .option('--raw', 'pass control characters to a terminal too; to a file or pipe they always go')
    .addHelpText('after', '\nExample:\n  cloister console --enclave-name hello\n')
    .action(showConsole)
}

async function showConsole(options: ConsoleOptions): Promise<void> {
  const wanted = options.enclaveId ?? options.enclaveName
  if (wanted === undefined) {
    throw new CloisterError('ERR_CLI_ARGUMENT', 'give --enclave-id or --enclave-name')
  }
  const output = await openConsole(new Registry(openDirectories().runtime), wanted)
  if (options.disconnectTimeout !== undefined) {
    setTimeout(() => output.destroy(), options.disconnectTimeout * 1000).unref()
  }
  await printConsole(output, options.raw)
}

/**
 * Passes the console on until it ends or is cut off: to a terminal without control characters, unless
 * it is wanted `raw`.
 */
export async function printConsole(output: Readable, raw = false): Promise<void> {
  const isFiltered = process.stdout.isTTY && !raw
  try {
    await (isFiltered
      ? pipeline(output, printableOnly(), process.stdout, { end: false })
      : pipeline(output, process.stdout, { end: false }))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  }
}

/** Keeps ASCII, tabs and line ends; a guest must not control the terminal of its reader. */
function printableOnly(): Transform {
  return new Transform({
    transform(bytes: Buffer, _encoding, done) {
      done(
        null,
        bytes
          .toString('latin1')
          .replaceAll('\r', '')
          .replace(/[^\t\n\x20-\x7e]/g, '?'),
      )
    },
  })
}
