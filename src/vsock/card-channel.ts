// The keeper's end of the vsock card's channel: JSON lines (cards/vsock/README.md). A card
// that does not answer delays the caller by a second; one that sends malformed lines is disconnected,
// and exits.

import type { Duplex } from 'node:stream'
import { fromData } from '../error-data.ts'
import { CloisterError } from '../errors.ts'
import { deferred, readLine, type Deferred } from '../subprocess/index.ts'
import {
  parseCardConnections,
  parseCardStatus,
  parseRefusal,
  type CardConnection,
  type CardStatus,
  type Refusal,
} from './card-report.ts'
import type { PortLists } from './port-list.ts'

/** A list of 2048 connections, the card's limit, has half of it. */
const LINE_MAX_BYTES = 2 ** 20
const ANSWER_MS = 1000
/** Questions on their way; more are refused. */
const MAX_PENDING = 64

type Message = Readonly<Record<string, unknown>>

/** Sends requests to a running vsock card; several may wait for their replies at once. */
export class VsockCardChannel {
  /** Takes what the card refuses, see {@link Refusal}. */
  onRefusal: (refusal: Refusal) => void = () => undefined
  readonly #channel: Duplex
  readonly #pending = new Map<number, Deferred<Message | undefined>>()
  #lastId = 0

  constructor(channel: Duplex) {
    this.#channel = channel
    channel.on('error', () => channel.destroy())
    void this.#listen()
  }

  /** @throws `ERR_VSOCK_CONTROL` */
  async status(): Promise<CardStatus> {
    return parseCardStatus(await this.#ask({ request: 'status' }))
  }

  /** @throws `ERR_VSOCK_CONTROL` */
  async connections(): Promise<readonly CardConnection[]> {
    return parseCardConnections(await this.#ask({ request: 'connections' }))
  }

  /**
   * Opens ports beside those that are open.
   *
   * @param answerMs - How long the card may take.
   * @throws `ERR_VSOCK_PORTS`, `ERR_VSOCK_CONTROL`; what is open then stays as it was.
   */
  async openPorts(
    { parentPorts, guestPorts }: PortLists,
    answerMs = ANSWER_MS,
  ): Promise<CardStatus> {
    const request = { request: 'openPorts', parentPorts, guestPorts }
    return parseCardStatus(await this.#ask(request, answerMs))
  }

  /**
   * Closes all of these but the reserved ports; connections on ports that it closes are reset.
   *
   * @throws `ERR_VSOCK_PORTS`, `ERR_VSOCK_CONTROL`; what is open then stays as it was.
   */
  async closePorts({ parentPorts, guestPorts }: PortLists): Promise<CardStatus> {
    return parseCardStatus(await this.#ask({ request: 'closePorts', parentPorts, guestPorts }))
  }

  /** Hangs up, at which the card ends. */
  close(): void {
    this.#channel.destroy()
  }

  async #ask(request: Message, answerMs = ANSWER_MS): Promise<unknown> {
    if (this.#channel.destroyed) throw failed('it has exited')
    if (this.#pending.size >= MAX_PENDING) throw failed('too many requests are waiting')
    const id = ++this.#lastId
    const answer = deferred<Message | undefined>()
    this.#pending.set(id, answer)
    const timer = setTimeout(() => {
      answer.resolve(undefined)
    }, answerMs)
    try {
      this.#channel.write(`${JSON.stringify({ id, ...request })}\n`)
      const message = await answer.promise
      if (message === undefined) throw failed('it does not answer')
      if (message['error'] !== undefined) throw refused(message['error'])
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
      this.close()
      for (const answer of this.#pending.values()) answer.resolve(undefined)
    }
  }

  #take(line: string): void {
    const message = JSON.parse(line) as Message
    if (message['event'] === 'refused') this.onRefusal(parseRefusal(message))
    else if (message['id'] !== undefined) this.#pending.get(Number(message['id']))?.resolve(message)
  }
}

/** The card's own error: a text, or `{code, message}`. */
function refused(data: unknown): CloisterError {
  const { code, message, details } = fromData(data, 'ERR_VSOCK_CONTROL')
  const own = code === 'ERR_VSOCK_PORTS' ? code : 'ERR_VSOCK_CONTROL'
  return new CloisterError(own, `the vsock card refused: ${message}`, { details })
}

function failed(reason: string): CloisterError {
  return new CloisterError(
    'ERR_VSOCK_CONTROL',
    `the vsock card did not carry out a request: ${reason}`,
  )
}
