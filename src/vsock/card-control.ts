// The keeper's end of the vsock card's control channel: JSON lines (cards/vsock/README.md). A card
// that does not answer costs whoever asks a moment; one that talks nonsense is hung up on, and ends.

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
import { policyTexts, type PortPolicy } from './port-policy.ts'

/** A list of 2048 connections, the card's limit, has half of it. */
const LINE_MAX_BYTES = 2 ** 20
const ANSWER_MS = 1000
/** Questions on their way; more are refused. */
const MAX_PENDING = 64

/** What the card gave up before it listened. */
export interface CardSandbox {
  readonly landlock: 'full' | 'partial' | 'none'
  readonly seccomp: boolean
  /** Whether it reaches nothing but the directory of its sockets. */
  readonly privateRoot: boolean
}

type Message = Readonly<Record<string, unknown>>

export class CardControl {
  /** Settles when the card listens and its sandbox is closed; undefined when it went before. */
  readonly ready: Promise<CardSandbox | undefined>
  /** Takes what the card refuses, see {@link Refusal}. */
  onRefusal: (refusal: Refusal) => void = () => undefined
  readonly #channel: Duplex
  readonly #ready = deferred<CardSandbox | undefined>()
  readonly #pending = new Map<number, Deferred<Message | undefined>>()
  #lastId = 0

  constructor(channel: Duplex) {
    this.#channel = channel
    this.ready = this.#ready.promise
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
   * Replaces the policy; connections on ports that it closes are reset.
   *
   * @throws `ERR_VSOCK_CONTROL`
   */
  async setPolicy(policy: PortPolicy): Promise<CardStatus> {
    return parseCardStatus(await this.#ask({ request: 'setPolicy', ...policyTexts(policy) }))
  }

  /** Hangs up, at which the card ends. */
  close(): void {
    this.#channel.destroy()
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
      this.#ready.resolve(undefined)
      for (const answer of this.#pending.values()) answer.resolve(undefined)
    }
  }

  #take(line: string): void {
    const message = JSON.parse(line) as Message
    if (message['event'] === 'ready') this.#ready.resolve(parseSandbox(message['sandbox']))
    else if (message['event'] === 'refused') this.onRefusal(parseRefusal(message))
    else if (message['id'] !== undefined) this.#pending.get(Number(message['id']))?.resolve(message)
  }
}

function parseSandbox(value: unknown): CardSandbox {
  const { landlock, seccomp, privateRoot } = (value ?? {}) as Message
  const level = (['full', 'partial', 'none'] as const).find((known) => known === landlock)
  if (level === undefined) throw failed('its sandbox report is malformed')
  return { landlock: level, seccomp: seccomp === true, privateRoot: privateRoot === true }
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
