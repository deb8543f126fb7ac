// Parent port 9002: the agent inside asks for the enclave's configuration and for the time, reports the
// app's state, and takes signals for the app.
// Messages are CBOR maps behind a length; the guest is hostile, so they are small and checked.

import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { cborMap, encodeCbor } from '../../cbor.ts'
import { encodeFrame, readFrames } from '../../vsock/index.ts'
import { decodeAgentMessage, malformedMessage } from './agent-message.ts'

const MESSAGE_MAX_BYTES = 4096
/** The agent asks every few seconds; a guest that asks all the time waits this long for the next answer. */
const TIME_PAUSE_MS = 100

/** What the agent can say. */
export type AgentEvent =
  | { readonly event: 'failed'; readonly step: string; readonly error: string }
  | { readonly event: 'started'; readonly pid: number }
  | { readonly event: 'exited'; readonly code: number }
  | { readonly event: 'signaled'; readonly signal: number }

/** What the agent can ask for. */
type AgentQuestion =
  { readonly event: 'configure' } | { readonly event: 'time'; readonly id: number }

/** Hands the agent's events to a listener, and the keeper's signals to the agent. */
export class AgentChannel {
  readonly #listener: (event: AgentEvent) => void
  readonly #configuration: Uint8Array | undefined
  #socket: Socket | undefined
  #hasStarted = false
  #hasFinished = false
  #isConfigured = false
  /** By `performance.now()`. */
  #nextAnswerAt = 0

  /** @param configuration - What the agent gets when it asks. */
  constructor(listener: (event: AgentEvent) => void, configuration?: Uint8Array) {
    this.#listener = listener
    this.#configuration = configuration
  }

  /** Whether the agent has asked for the configuration. */
  get isConfigured(): boolean {
    return this.#isConfigured
  }

  /** Whether the guest has an agent that speaks to us, which it does before its heartbeat. */
  get isConnected(): boolean {
    return this.#socket !== undefined
  }

  /** Whether the agent has told how the app ended; the machine then ends by itself. */
  get hasFinished(): boolean {
    return this.#hasFinished
  }

  /**
   * Serves the agent's one connection until its last event; a second connection is refused.
   *
   * @throws `ERR_KEEPER_AGENT` for a malformed message, for a second start of the app, and for an agent that
   * asks for its configuration where there is none, twice, or when the app has started.
   */
  async serve(socket: Socket): Promise<void> {
    if (this.#socket !== undefined) {
      socket.destroy()
      return
    }
    this.#socket = socket
    for await (const frame of readFrames(socket, MESSAGE_MAX_BYTES)) {
      const event = parseAgentEvent(frame)
      if (event.event === 'configure' || event.event === 'time') {
        await this.#answer(event, socket)
        continue
      }
      if (event.event === 'started') this.#noteStart()
      else this.#hasFinished = true
      this.#listener(event)
      // The agent waits for the end of the stream before it ends the machine.
      if (this.#hasFinished) break
    }
  }

  async #answer(question: AgentQuestion, socket: Socket): Promise<void> {
    if (question.event === 'configure') {
      this.#configure(socket)
      return
    }
    const wait = this.#nextAnswerAt - performance.now()
    if (wait > 0) await sleep(wait, undefined, { ref: false })
    this.#nextAnswerAt = performance.now() + TIME_PAUSE_MS
    const ns = BigInt(Date.now()) * 1_000_000n
    socket.write(encodeFrame(encodeCbor(cborMap({ request: 'time', id: question.id, ns }))))
  }

  #configure(socket: Socket): void {
    const bytes = this.#configuration
    if (bytes === undefined || this.#isConfigured || this.#hasStarted)
      throw malformedMessage('there is no configuration to ask for')
    this.#isConfigured = true
    socket.write(encodeFrame(bytes))
  }

  #noteStart(): void {
    if (this.#hasStarted) throw malformedMessage('the app has started already')
    this.#hasStarted = true
  }

  /** Asks the agent to pass a signal to the app; false when there is no agent to ask. */
  signal(signal: number): boolean {
    if (this.#socket === undefined || this.#socket.destroyed) return false
    this.#socket.write(encodeFrame(encodeCbor(cborMap({ request: 'signal', signal }))))
    return true
  }
}

/** @throws `ERR_KEEPER_AGENT` for anything but one well-formed event or question. */
export function parseAgentEvent(bytes: Uint8Array): AgentEvent | AgentQuestion {
  const message = decodeAgentMessage(bytes)
  const event = message.get('event')
  if (event === 'failed')
    return { event, step: text(message, 'step'), error: text(message, 'error') }
  if (event === 'configure') return { event }
  if (event === 'time') return { event, id: smallInteger(message, 'id') }
  if (event === 'started') return { event, pid: integer(message, 'pid') }
  if (event === 'exited') return { event, code: integer(message, 'code') }
  if (event === 'signaled') return { event, signal: integer(message, 'signal') }
  throw malformedMessage('it is not a known event')
}

function text(message: ReadonlyMap<unknown, unknown>, key: string): string {
  const value = message.get(key)
  if (typeof value !== 'string') throw malformedMessage(`${key} is not a string`)
  return printable(value)
}

/** The guest must not be able to write control sequences to a terminal. */
function printable(value: string): string {
  return value.replace(/[^\x20-\x7e]/g, '?')
}

/** A bigger one would be answered as a float. */
function smallInteger(message: ReadonlyMap<unknown, unknown>, key: string): number {
  const value = integer(message, key)
  if (value <= 0xffff_ffff) return value
  throw malformedMessage(`${key} is above 2^32 - 1`)
}

function integer(message: ReadonlyMap<unknown, unknown>, key: string): number {
  const value = message.get(key)
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw malformedMessage(`${key} is not an unsigned integer`)
  return value as number
}
