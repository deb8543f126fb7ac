// Carries TPM commands over one stream, strictly one in flight: swtpm fails two commands that
// arrive in one read. Once anything goes wrong the stream is out of step, so it is closed and every
// waiter gets the same coded error.

import type { Duplex } from 'node:stream'
import { CloisterError } from '../../errors.ts'
import type { TpmChannel } from './command.ts'

interface Waiter {
  readonly command: Uint8Array
  readonly resolve: (response: Uint8Array) => void
  readonly reject: (error: CloisterError) => void
}

const HEADER_BYTES = 10
/** The longest response of a TPM (TPM_PT_MAX_RESPONSE_SIZE of libtpms). */
const MAX_RESPONSE_BYTES = 4096

/**
 * Sends TPM commands over a stream in the order of the calls. A response may take `timeoutMs`, 30
 * seconds by default; the first failure closes the stream for good.
 */
export class TpmTransport implements TpmChannel {
  readonly #stream: Duplex
  readonly #timeoutMs: number
  readonly #waiters: Waiter[] = []
  #inFlight: Waiter | undefined
  #received: Buffer = Buffer.alloc(0)
  #timer: NodeJS.Timeout | undefined
  #failure: CloisterError | undefined

  constructor(stream: Duplex, timeoutMs = 30_000) {
    this.#stream = stream
    this.#timeoutMs = timeoutMs
    stream.on('data', (chunk: Buffer) => {
      this.#receive(chunk)
    })
    stream.on('error', (cause: Error) => {
      this.fail(gone(cause))
    })
    stream.on('end', () => {
      this.fail(gone())
    })
    stream.on('close', () => {
      this.fail(gone())
    })
  }

  /** @throws ERR_CHIP_TPM_GONE, ERR_CHIP_TPM_TIMEOUT or ERR_CHIP_TPM_PROTOCOL, then for ever. */
  transmit(command: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure)
        return
      }
      this.#waiters.push({ command, resolve, reject })
      this.#sendNext()
    })
  }

  /** What ended the transport; undefined while it lives. */
  get failure(): CloisterError | undefined {
    return this.#failure
  }

  /** Ends the transport: everyone who waits, and everyone who comes later, gets `failure`. */
  fail(failure: CloisterError): void {
    if (this.#failure) return
    this.#failure = failure
    clearTimeout(this.#timer)
    this.#stream.destroy()
    this.#inFlight?.reject(failure)
    this.#inFlight = undefined
    for (const waiter of this.#waiters.splice(0)) waiter.reject(failure)
  }

  #sendNext(): void {
    if (this.#inFlight) return
    const next = this.#waiters.shift()
    if (!next) return
    this.#inFlight = next
    this.#timer = setTimeout(() => {
      this.fail(timedOut(this.#timeoutMs))
    }, this.#timeoutMs)
    this.#stream.write(next.command)
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    if (!this.#inFlight) {
      this.fail(outOfStep('a response without a command'))
      return
    }
    if (this.#received.length < HEADER_BYTES) return
    const size = this.#received.readUInt32BE(2)
    const { length } = this.#received
    if (size < HEADER_BYTES || size > MAX_RESPONSE_BYTES || length > size) {
      this.fail(outOfStep(`${String(length)} bytes for a response of ${String(size)}`))
    } else if (length === size) {
      this.#deliver(this.#inFlight)
    }
  }

  #deliver(waiter: Waiter): void {
    const response = new Uint8Array(this.#received)
    this.#received = Buffer.alloc(0)
    clearTimeout(this.#timer)
    this.#inFlight = undefined
    waiter.resolve(response)
    this.#sendNext()
  }
}

function gone(cause?: Error): CloisterError {
  return new CloisterError('ERR_CHIP_TPM_GONE', 'the TPM closed its channel', { cause })
}

function timedOut(timeoutMs: number): CloisterError {
  return new CloisterError('ERR_CHIP_TPM_TIMEOUT', 'the TPM did not answer a command', {
    details: { timeoutMs },
  })
}

function outOfStep(what: string): CloisterError {
  return new CloisterError('ERR_CHIP_TPM_PROTOCOL', `the TPM sent ${what}`)
}
