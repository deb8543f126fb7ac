// QMP, QEMU's machine protocol (docs/interop/qmp-spec): JSON lines, a greeting, capabilities
// negotiation, then one reply per command. Only commands without a result we need. QEMU may be its
// guest's by now: anything that is not QMP ends the connection.

import type { Duplex } from 'node:stream'
import { CloisterError } from '../errors.ts'
import { deferred } from '../subprocess/index.ts'

/** QEMU's longest messages are far shorter. */
const LINE_MAX_BYTES = 64 * 1024

interface QmpMessage {
  readonly QMP?: unknown
  readonly return?: unknown
  readonly error?: { readonly class: string; readonly desc: string }
  readonly event?: string
  readonly data?: { readonly reason?: unknown }
}

/** Why QEMU ends: its SHUTDOWN event's `reason` (qapi/run-state.json, ShutdownCause), as far as it is told apart. */
const shutdownReasons = [
  'host-signal',
  'host-qmp-quit',
  'guest-reset',
  'guest-shutdown',
  'guest-panic',
] as const

export type ShutdownReason = (typeof shutdownReasons)[number]

interface Waiter {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * An open QMP connection. Replies are matched to commands by their order; once the connection ends,
 * every command that waits fails with `ERR_VMM_CONTROL`.
 */
export class QmpClient {
  readonly #stream: Duplex
  readonly #waiters: Waiter[] = []
  readonly #closed = deferred<undefined>()
  readonly #stopped = deferred<undefined>()
  #pending = ''
  #shutdownReason: ShutdownReason | undefined

  private constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('data', (bytes: Buffer) => {
      this.#receive(bytes.toString('latin1'))
    })
    stream.on('error', () => stream.destroy())
    stream.once('close', () => {
      this.#giveUp(gone())
      this.#closed.resolve(undefined)
    })
  }

  /** Settles when everything QEMU said was heard. */
  get closed(): Promise<undefined> {
    return this.#closed.promise
  }

  /** Settles when QEMU has stopped its machine, which nobody asks it to do. */
  get stopped(): Promise<undefined> {
    return this.#stopped.promise
  }

  /** Of the last SHUTDOWN event, if there was one. */
  get shutdownReason(): ShutdownReason | undefined {
    return this.#shutdownReason
  }

  /**
   * Waits for the greeting and leaves capabilities negotiation, both within `timeoutMs`.
   *
   * @throws `ERR_VMM_CONTROL`
   */
  static async open(stream: Duplex, timeoutMs: number): Promise<QmpClient> {
    const client = new QmpClient(stream)
    const timer = setTimeout(() => {
      client.#giveUp(timedOut(timeoutMs))
    }, timeoutMs)
    try {
      await client.#next()
      await client.execute('qmp_capabilities')
      return client
    } finally {
      clearTimeout(timer)
    }
  }

  /** @throws `ERR_VMM_CONTROL` when QEMU refuses the command or is gone. */
  async execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    const reply = this.#next()
    this.#stream.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
    return reply
  }

  #next(): Promise<unknown> {
    if (this.#stream.destroyed) return Promise.reject(gone())
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
    })
  }

  #receive(text: string): void {
    const lines = (this.#pending + text).split('\n')
    this.#pending = lines.pop() ?? ''
    try {
      for (const line of lines) this.#handle(JSON.parse(line) as QmpMessage)
    } catch {
      this.#stream.destroy()
    }
    if (this.#pending.length > LINE_MAX_BYTES) this.#stream.destroy()
  }

  #handle(message: QmpMessage): void {
    if (message.event !== undefined) {
      if (message.event === 'STOP') this.#stopped.resolve(undefined)
      if (message.event === 'SHUTDOWN') this.#shutdownReason = knownReason(message.data?.reason)
      return
    }
    const waiter = this.#waiters.shift()
    if (message.error === undefined) waiter?.resolve(message.return ?? message.QMP)
    else waiter?.reject(new CloisterError('ERR_VMM_CONTROL', message.error.desc))
  }

  #giveUp(error: CloisterError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
    this.#stream.destroy()
  }
}

function knownReason(reason: unknown): ShutdownReason | undefined {
  return shutdownReasons.find((known) => known === reason)
}

function timedOut(timeoutMs: number): CloisterError {
  const message = `QEMU did not answer within ${String(Math.ceil(timeoutMs))} ms`
  return new CloisterError('ERR_VMM_CONTROL', message, { details: { timeoutMs } })
}

function gone(): CloisterError {
  return new CloisterError('ERR_VMM_CONTROL', 'QEMU has closed its control socket')
}
