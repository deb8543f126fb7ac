// run-enclave --attach: an enclave in the foreground, as a program is. What its manifest lets leave goes
// to the standard streams, signals end it gracefully, and the app's exit status is the command's.

import { constants } from 'node:os'
import {
  endEnclave,
  isAlive,
  readLogs,
  type EnclaveEnd,
  type EnclaveRecord,
  type Registry,
  untilEnd,
} from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import { isRunning } from '../subprocess/index.ts'
import { escapeControls, printProgress } from './print.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** As a container's whose own program did not decide: docker's for what docker itself did. */
const ENDED_OTHERWISE = 125
const KILLED = 128 + constants.signals.SIGKILL

/** An enclave that ends with this process. */
export class Attached implements Disposable {
  readonly #registry: Registry
  readonly #record: EnclaveRecord
  readonly #graceMs: number
  #requests = 0

  /**
   * From here on a signal ends the enclave: the first one with `graceMs` for its app, a second one at once.
   */
  constructor(registry: Registry, record: EnclaveRecord, graceMs: number) {
    this.#registry = registry
    this.#record = record
    this.#graceMs = graceMs
    for (const signal of SIGNALS) {
      process.removeAllListeners(signal)
      process.on(signal, this.#stop)
    }
    process.on('exit', this.#abandon)
  }

  /** Passes the app's lines on until the enclave has ended; returns the exit status. */
  async untilEnd(): Promise<number> {
    await this.#passLinesOn()
    const { end } = await untilEnd(this.#registry, this.#record)
    return statusOf(end)
  }

  /** Ends the enclave at once; false when it had ended by itself. */
  async end(): Promise<boolean> {
    const latest = this.#registry.find(this.#record.id, 'id')
    if (!isAlive(latest)) return false
    await endEnclave(this.#registry, latest, 0)
    return true
  }

  readonly #stop = (): void => {
    const graceMs = this.#requests === 0 ? this.#graceMs : 0
    this.#requests += 1
    // Its end, which is awaited anyway, says how it went.
    endEnclave(this.#registry, this.#record, graceMs).catch(() => undefined)
  }

  /** When this process ends before its enclave, whatever the reason. */
  readonly #abandon = (): void => {
    const { keeper } = this.#record
    if (isRunning(keeper)) process.kill(keeper.pid, 'SIGTERM')
  }

  async #passLinesOn(): Promise<void> {
    try {
      for await (const entry of readLogs(this.#registry, this.#record, { follow: true })) {
        if ('dropped' in entry) printProgress(`${String(entry.dropped)} lines were dropped`)
        else await write(process[entry.stream], entry.line)
      }
    } catch (error) {
      if (!(error instanceof CloisterError && error.code === 'ERR_KEEPER_NO_LOGS')) throw error
      printProgress(
        'The manifest of the image declares no log lines: nothing is printed until the enclave ends.',
      )
    }
  }

  [Symbol.dispose](): void {
    for (const signal of SIGNALS) process.off(signal, this.#stop)
    process.off('exit', this.#abandon)
  }
}

/** To a file or pipe as the app wrote it; to a terminal without power over it. */
async function write(stream: NodeJS.WriteStream, line: string): Promise<void> {
  const text = stream.isTTY ? escapeControls(line) : line
  if (stream.write(`${text}\n`)) return
  await new Promise((resolve) => stream.once('drain', resolve))
}

/** The app's own, 128 + its signal, 137 where it did not end in time, 125 where it did not decide. */
function statusOf({ first, reason, exitCode, signal }: EnclaveEnd): number {
  if (first === 'app') return signal === undefined ? (exitCode ?? 0) : 128 + Number(signal)
  printProgress(`The enclave has ended: ${reason}`)
  return first === 'request' ? KILLED : ENDED_OTHERWISE
}
