// Questions to a confined process and what it says by itself: JSON lines on an inherited channel. A
// process that does not answer delays the caller by a bounded time; one that sends malformed lines is
// disconnected, and exits.

import type { Duplex } from 'node:stream'
import { deferred, type Deferred } from './deferred.ts'
import { readLine } from './read-line.ts'

/** What a line holds. */
export type LineMessage = Readonly<Record<string, unknown>>

const LINE_MAX_BYTES = 2 ** 20
const ANSWER_MS = 1000
/** Questions on their way; more are refused. */
const MAX_PENDING = 64

export interface LineChannelOptions {
  /** Takes a line with an `event`; when it throws, the process is disconnected. */
  readonly onEvent: (message: LineMessage) => void
  /** The error for a question without an answer. */
  readonly failed: (reason: string) => Error
}

/** Several questions may wait for their answers at once, which carry the same `id`. */
export class LineChannel {
  readonly #channel: Duplex
  readonly #options: LineChannelOptions
  readonly #pending = new Map<number, Deferred<LineMessage | undefined>>()
  #lastId = 0

  constructor(channel: Duplex, options: LineChannelOptions) {
    this.#channel = channel
    this.#options = options
    channel.on('error', () => channel.destroy())
    void this.#listen()
  }

  /**
   * Sends a question and returns the line that answers it.
   *
   * @param answerMs - How long the process may take.
   * @throws What `failed` makes, when there is no answer.
   */
  async ask(question: LineMessage, answerMs = ANSWER_MS): Promise<LineMessage> {
    const { failed } = this.#options
    if (this.#channel.destroyed) throw failed('it has exited')
    if (this.#pending.size >= MAX_PENDING) throw failed('too many requests are waiting')
    const id = ++this.#lastId
    const answer = deferred<LineMessage | undefined>()
    this.#pending.set(id, answer)
    const timer = setTimeout(() => {
      answer.resolve(undefined)
    }, answerMs)
    try {
      this.#channel.write(`${JSON.stringify({ id, ...question })}\n`)
      const message = await answer.promise
      if (message === undefined) throw failed('it does not answer')
      return message
    } finally {
      clearTimeout(timer)
      this.#pending.delete(id)
    }
  }

  /** Hangs up, at which the process ends. */
  close(): void {
    this.#channel.destroy()
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
    const message = JSON.parse(line) as LineMessage
    if (message['event'] !== undefined) this.#options.onEvent(message)
    else if (message['id'] !== undefined) this.#pending.get(Number(message['id']))?.resolve(message)
  }
}
