// `cloister wait`: until an enclave has ended, or until its app listens.

import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import {
  isAlive,
  openDirectories,
  Registry,
  type EnclaveRecord,
  type EndedRecord,
} from '../enclaves/index.ts'
import { isRunning } from '../subprocess/index.ts'
import { wholeNumber } from './arguments.ts'
import { enclaveJson } from './enclave-json.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'
import { printJson } from './print.ts'
import { waitForPort } from './wait-for-port.ts'

interface WaitOptions extends EnclaveFlags {
  readonly for?: 'exit' | 'ready'
  readonly port?: number
  readonly timeout?: number
}

/** How often it is looked whether the keeper still runs. */
const LOOK_MS = 50
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
      '\nPrints the enclave as describe-enclaves does, after its end with the reason and, where the app\n' +
        'ended, its exit status. That the app listens is tried with a connection, which is closed at once.\n' +
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
  const found = port === undefined ? await untilEnd(registry, record, timeout) : record
  printJson(enclaveJson(found, { registry, metadata: false, vsock: undefined }))
}

/** @throws `ERR_KEEPER_WAIT` when it still runs after so many seconds, `ERR_KEEPER_NO_SUCH_ENCLAVE` */
async function untilEnd(
  registry: Registry,
  record: EnclaveRecord,
  seconds: number | undefined,
): Promise<EndedRecord> {
  const deadline = seconds === undefined ? Infinity : performance.now() + seconds * 1000
  while (isAlive(record) && isRunning(record.keeper)) {
    if (performance.now() > deadline) throw stillRuns(record, seconds ?? 0)
    await sleep(LOOK_MS)
  }
  const ended = registry.find(record.id)
  if (isAlive(ended)) throw stillRuns(record, seconds ?? 0)
  return ended
}

function stillRuns({ description }: EnclaveRecord, seconds: number): CloisterError {
  const message = `${description.name} still runs after ${String(seconds)} s`
  return new CloisterError('ERR_KEEPER_WAIT', message, { details: { seconds } })
}

function argument(message: string, hint: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message, { hint })
}
