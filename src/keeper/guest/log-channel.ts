// The agent's second connection to port 9002: lines of the app that its measured manifest lets leave.
// The agent filters and limits them; the guest is hostile, so both are done here again. What comes too
// fast is read later, which holds up the guest and nobody else.

import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogEntry, LogStream } from '../../enclaves/index.ts'
import type { MeasuredManifest } from '../../manifest/index.ts'
import { readFrames } from '../../vsock/index.ts'
import type { Journal } from '../journal.ts'
import { decodeAgentMessage, malformedMessage } from './agent-message.ts'

const MESSAGE_MAX_BYTES = 4096
const LINE_MAX_BYTES = 2048
/** Twice what the agent lets through (enclave-images/agent/src/logs/limit.rs). */
const BYTES_PER_SECOND = 256 * 1024
const BURST_BYTES = 512 * 1024
/** What a message costs beside its bytes. */
const MESSAGE_BYTES = 64
/** How long the last lines of an app that has ended may take. */
const DRAIN_MS = 1000

export interface LogSink {
  readonly write: (entry: LogEntry) => void
}

/**
 * Passes the lines that a manifest declares to a sink and drops the others. The first dropped line
 * is noted in the journal.
 */
export class LogChannel {
  readonly #declared: MeasuredManifest['logs']
  readonly #sink: LogSink
  readonly #journal: Journal
  readonly #pace = new Pace()
  #hasRefused = false
  #serving: Promise<void> = Promise.resolve()

  constructor(declared: MeasuredManifest['logs'], sink: LogSink, journal: Journal) {
    this.#declared = declared
    this.#sink = sink
    this.#journal = journal
  }

  /**
   * Serves one connection, until the agent has sent its last line.
   *
   * @throws `ERR_KEEPER_AGENT` for a malformed message
   */
  async serve(socket: Socket): Promise<void> {
    const served = this.#readAll(socket)
    this.#serving = served.catch(() => undefined)
    await served
  }

  /** Settles when what an app that has ended had sent is written, or a second later. */
  async drained(): Promise<void> {
    await Promise.race([this.#serving, sleep(DRAIN_MS, undefined, { ref: false })])
  }

  async #readAll(socket: Socket): Promise<void> {
    for await (const frame of readFrames(socket, MESSAGE_MAX_BYTES)) {
      await this.#pace.take(frame.length)
      const message = parseLogMessage(frame)
      if (message.stream === undefined || this.#mayLeave(message.stream, message.bytes))
        this.#sink.write(entryOf(message))
      else this.#refuse()
    }
  }

  #mayLeave(stream: LogStream, line: Buffer): boolean {
    return this.#declared[stream].some((prefix) => {
      const wanted = Buffer.from(prefix)
      return line.subarray(0, wanted.length).equals(wanted)
    })
  }

  #refuse(): void {
    if (this.#hasRefused) return
    this.#hasRefused = true
    this.#journal.writeOfGuest('the guest sent a line that its manifest does not declare: dropped')
  }
}

/** Lets as much through as is due, and makes the rest wait. */
class Pace {
  #left = BURST_BYTES
  #at = performance.now()

  async take(bytes: number): Promise<void> {
    const now = performance.now()
    this.#left += ((now - this.#at) / 1000) * BYTES_PER_SECOND
    this.#left = Math.min(this.#left, BURST_BYTES) - bytes - MESSAGE_BYTES
    this.#at = now
    if (this.#left < 0) await sleep((-this.#left / BYTES_PER_SECOND) * 1000)
  }
}

type LogMessage =
  | { readonly stream: LogStream; readonly bytes: Buffer; readonly cut: number }
  | { readonly stream?: undefined; readonly dropped: number }

/** @throws `ERR_KEEPER_AGENT` for anything but one well-formed message. */
export function parseLogMessage(frame: Uint8Array): LogMessage {
  const message = decodeAgentMessage(frame)
  const [stream, line, cut, dropped] = ['stream', 'line', 'cut', 'dropped'].map((key) =>
    message.get(key),
  )
  if (message.size === 1 && isCount(dropped)) return { dropped }
  const isLine = line instanceof Uint8Array && line.length <= LINE_MAX_BYTES
  if (message.size === 3 && (stream === 'stdout' || stream === 'stderr') && isLine && isCount(cut))
    return { stream, bytes: Buffer.from(line), cut }
  throw malformedMessage('it is neither a line nor a count')
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Bytes that are not UTF-8 are replaced. */
function entryOf(message: LogMessage): LogEntry {
  const time = new Date().toISOString()
  if (message.stream === undefined) return { time, dropped: message.dropped }
  const { stream, bytes, cut } = message
  return { time, stream, line: bytes.toString('utf8'), ...(cut > 0 && { cut }) }
}
