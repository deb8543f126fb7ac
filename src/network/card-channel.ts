// The keeper's end of the network card's channel: JSON lines (cards/network/README.md).

import type { Duplex } from 'node:stream'
import { CloisterError } from '../errors.ts'
import { deferred, readLine, type Deferred } from '../subprocess/index.ts'
import { parseRefusal, parseReport, type NetworkRefusal, type NetworkReport } from './report.ts'

/** A report with 256 refusals has a fifth of it. */
const LINE_MAX_BYTES = 2 ** 20
const ANSWER_MS = 1000
/** Questions on their way; more are refused. */
const MAX_PENDING = 64

type Message = Readonly<Record<string, unknown>>

/** Asks a running network card; one that sends malformed lines is disconnected, and exits. */
export class NetworkCardChannel {
  /** Takes what the card refuses, once for each destination. */
  onRefusal: (refusal: NetworkRefusal) => void = () => undefined
  readonly #channel: Duplex
  readonly #pending = new Map<number, Deferred<Message | undefined>>()
  #lastId = 0

  constructor(channel: Duplex) {
    this.#channel = channel
    channel.on('error', () => channel.destroy())
    void this.#listen()
  }

  /** @throws `ERR_NETWORK_CONTROL` */
  async report(): Promise<NetworkReport> {
    return parseReport(await this.#ask({ request: 'status' }))
  }

  /**
   * Names the resolvers to ask from now on.
   *
   * @throws `ERR_NETWORK_CONTROL`
   */
  async setResolvers(resolvers: readonly string[]): Promise<void> {
    await this.#ask({ request: 'setResolvers', resolvers })
  }

  async #ask(request: Message): Promise<unknown> {
    if (this.#channel.destroyed) throw failed('it has exited')
    if (this.#pending.size >= MAX_PENDING) throw failed('too many requests are waiting')
    const id = ++this.#lastId
    const answer = deferred<Message | undefined>()
    this.#pending.set(id, answer)
    const timer = setTimeout(() => {
      answer.resolve(undefined)
    }, ANSWER_MS)
    try {
      this.#channel.write(`${JSON.stringify({ id, ...request })}\n`)
      const message = await answer.promise
      if (message === undefined) throw failed('it does not answer')
      if (message['result'] === undefined) throw failed('it does not know such a request')
      return message['result']
    } finally {
      clearTimeout(timer)
      this.#pending.delete(id)
    }
  }

  async #listen(): Promise<void> {
    try {
      for (;;) this.#take(await readLine(this.#channel, LINE_MAX_BYTES))
    } catch {
      this.#channel.destroy()
      for (const answer of this.#pending.values()) answer.resolve(undefined)
    }
  }

  #take(line: string): void {
    const message = JSON.parse(line) as Message
    if (message['event'] === 'refused') this.onRefusal(parseRefusal(message['refused']))
    else this.#pending.get(Number(message['id']))?.resolve(message)
  }
}

function failed(reason: string): CloisterError {
  return new CloisterError('ERR_NETWORK_CONTROL', `the network card did not answer: ${reason}`)
}
