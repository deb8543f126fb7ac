// `cloister wait`: until an enclave has ended, or until its app listens.

import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { openDirectories, Registry, untilEnd, waitForPort } from '../enclaves/index.ts'
import { wholeNumber } from './arguments.ts'
import { enclaveJson } from './enclave-json.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'
import { printJson } from './print.ts'

interface WaitOptions extends EnclaveFlags {
  readonly for?: 'exit' | 'ready'
  readonly port?: number
  readonly timeout?: number
}

const READY_SECONDS = 60

export function waitCommand(): Command {
  return new Command('wait')
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .addOption(
      new Option(
        '--for <event>',
        'exit: the enclave has ended; ready: its app listens on --port ' +
          '(default: ready with --port, else exit)',
      ).choices(['exit', 'ready']),
    )
    .option('--port <port>', 'an open vsock port of the guest', wholeNumber(0, 0xffffffff))
    .option(
      '--timeout <seconds>',
      `how long to wait (default: ${String(READY_SECONDS)} for ready, unlimited for exit)`,
      wholeNumber(0, 1_000_000),
    )
    .addHelpText(
      'after',
      '\nPrints the enclave as describe-enclaves does; for an ended enclave with the reason and, if its app exited,\n' +
        'the exit status. Readiness is tested by connecting to the port; the connection is closed at once.\n' +
        '\nExample:\n  cloister wait --enclave-name hello --port 5005\n',
    )
    .action(wait)
}

async function wait(options: WaitOptions): Promise<void> {
  if (options.for === 'ready' && options.port === undefined)
    throw argument('--for ready needs --port', 'Add --port with the vsock port the app listens on.')
  if (options.for === 'exit' && options.port !== undefined)
    throw argument('--port cannot be used with --for exit', 'Leave out one of the two.')
  const registry = new Registry(openDirectories().runtime)
  const record = findEnclave(registry, options)
  const { timeout, port } = options
  if (port !== undefined) {
    await waitForPort(registry, record, { port, timeoutMs: (timeout ?? READY_SECONDS) * 1000 })
  }
  const found = port === undefined ? await untilEnd(registry, record, { seconds: timeout }) : record
  printJson(enclaveJson(found, { registry, metadata: false, vsock: undefined }))
}

function argument(message: string, hint: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message, { hint })
}
