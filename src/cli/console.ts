import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { askKeeper, isAlive, openDirectories, Registry, savedConsolePath } from '../keeper/index.ts'
import { wholeNumber } from './arguments.ts'

interface ConsoleOptions {
  readonly enclaveId?: string
  readonly enclaveName?: string
  readonly disconnectTimeout?: number
}

export function consoleCommand(): Command {
  return new Command('console')
    .description('print the console of a debug enclave, also after its end')
    .addOption(new Option('--enclave-id <id>').conflicts('enclaveName'))
    .option('--enclave-name <name>')
    .option('--disconnect-timeout <seconds>', 'stop after so long', wholeNumber(1, 86400))
    .addHelpText('after', '\nExample:\n  cloister console --enclave-name hello\n')
    .action(showConsole)
}

async function showConsole(options: ConsoleOptions): Promise<void> {
  const wanted = options.enclaveId ?? options.enclaveName
  if (wanted === undefined) {
    throw new CloisterError('ERR_CLI_ARGUMENT', 'one of --enclave-id and --enclave-name is needed')
  }
  const output = await openConsole(wanted)
  if (options.disconnectTimeout !== undefined) {
    setTimeout(() => output.destroy(), options.disconnectTimeout * 1000).unref()
  }
  try {
    for await (const bytes of output) process.stdout.write(bytes as Buffer)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  }
}

async function openConsole(wanted: string): Promise<Readable> {
  const registry = new Registry(openDirectories().runtime)
  const record = registry.find(wanted)
  if (!record.debug) {
    throw new CloisterError('ERR_KEEPER_NO_CONSOLE', `${record.name} does not run in debug mode`)
  }
  const directory = registry.directory(record.id)
  if (isAlive(record)) return askKeeper(directory, { command: 'console' })
  return createReadStream(savedConsolePath(directory))
}
