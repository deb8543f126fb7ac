// cloister console: nitro-cli's command, for running enclaves and for the saved end of those that ended.

import { Transform, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command } from 'commander'
import {
  isAlive,
  openConsole,
  openDirectories,
  Registry,
  type EnclaveRecord,
} from '../enclaves/index.ts'
import { wholeNumber } from './arguments.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'

interface ConsoleOptions extends EnclaveFlags {
  readonly disconnectTimeout?: number
  readonly raw?: boolean
}

/** `cloister console`; its action throws `ERR_KEEPER_NO_CONSOLE` for an enclave outside debug mode. */
export function consoleCommand(): Command {
  return new Command('console')
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .option('--disconnect-timeout <seconds>', 'stop after this many seconds', wholeNumber(0, 86400))
    .option('--raw', 'pass control characters to a terminal too; files and pipes always get them')
    .addHelpText('after', '\nExample:\n  cloister console --enclave-name hello\n')
    .action(showConsole)
}

async function showConsole(options: ConsoleOptions): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  const output = await connectConsole(registry, findEnclave(registry, options))
  if (options.disconnectTimeout !== undefined) {
    setTimeout(() => output.destroy(), options.disconnectTimeout * 1000).unref()
  }
  await printConsole(output, options.raw)
}

/** Opens a console; of a running enclave with nitro-cli's words, on standard output as there. */
export async function connectConsole(registry: Registry, record: EnclaveRecord): Promise<Readable> {
  const { cid, debug } = record.description
  if (!isAlive(record) || !debug) return openConsole(registry, record)
  process.stdout.write(`Connecting to the console for enclave ${String(cid)}...\n`)
  const output = await openConsole(registry, record)
  process.stdout.write('Successfully connected to the console.\n')
  return output
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
