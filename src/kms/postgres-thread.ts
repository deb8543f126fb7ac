// The thread that talks to PostgreSQL (postgres-worker.ts), and waiting for its replies. A thread that does not reply in
// time is ended, and so is its connection: a late reply must never be taken for the reply to another request.

import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads'
import { check } from '../errors.ts'
import type { Row, Value } from './store/database.ts'

/** One statement for the thread. */
export interface PostgresRequest {
  readonly sql: string
  readonly values: readonly Value[]
  /** Not within a transaction: its first part is lost with its connection. */
  readonly mayConnect: boolean
}

export interface PostgresReply {
  readonly rows: readonly Row[]
  readonly changes: number
  /** Why it failed. */
  readonly failure?: string
  /** Whether the connection is gone. */
  readonly isLost?: boolean
  /** Whether it is gone because the server did not answer in time. */
  readonly isLate?: boolean
}

/** What crosses between the threads; a reply has the number of its request. */
export type Numbered<T> = T & { readonly number: number }

/** A server, and how long it may take to answer a statement. */
export interface PostgresAddress {
  readonly url: string
  readonly answerMs: number
}

/** Longer than `lock_timeout` and `statement_timeout`, so that the server's own time-outs are seen first. */
const ANSWER_MS = 35_000
/** The thread itself notices a late answer; if it does not within this time, it hangs too. */
const THREAD_MS = 5_000
const PARAMETER = 'query_timeout'

export class PostgresThread implements Disposable {
  readonly #address: PostgresAddress
  readonly #port: MessagePort
  readonly #worker: Worker
  readonly #signal = new Int32Array(new SharedArrayBuffer(4))
  #number = 0
  #hasEnded = false

  constructor(address: PostgresAddress) {
    this.#address = address
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const program = new URL('../kms/postgres-worker.js', import.meta.url)
    const workerData = { port: port2, signal: this.#signal, ...address }
    this.#worker = new Worker(program, { workerData, transferList: [port2] })
    this.#worker.on('error', () => (this.#hasEnded = true))
    this.#worker.unref()
    port1.unref()
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Waits for the reply. A thread that does not reply in time has ended when this returns. */
  ask(request: PostgresRequest): PostgresReply {
    const number = ++this.#number
    Atomics.store(this.#signal, 0, 0)
    this.#port.postMessage({ ...request, number })
    Atomics.wait(this.#signal, 0, 0, this.#address.answerMs + THREAD_MS)
    const received = receiveMessageOnPort(this.#port) as
      { readonly message: Numbered<PostgresReply> } | undefined
    if (received?.message.number === number) return received.message
    this.#hasEnded = true
    this.#port.close()
    void this.#worker.terminate()
    const failure = 'the thread that talks to the server does not respond'
    return { rows: [], changes: 0, failure, isLost: true, isLate: true }
  }

  [Symbol.dispose](): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#port.postMessage(null)
    this.#port.close()
  }
}

/**
 * An address as users give it: its `query_timeout`, in milliseconds, is how long the server may take.
 * @throws ERR_KMS_STORE
 */
export function parsePostgresAddress(text: string): PostgresAddress {
  const url = new URL(text)
  const given = url.searchParams.get(PARAMETER)
  if (given === null) return { url: text, answerMs: ANSWER_MS }
  const answerMs = /^\d{1,5}$/.test(given) ? Number(given) : NaN
  check(
    answerMs >= 100 && answerMs <= ANSWER_MS,
    'ERR_KMS_STORE',
    `${PARAMETER}=${given} is not a number of milliseconds from 100 to ${String(ANSWER_MS)}`,
    { hint: 'Correct the address of the store.' },
  )
  // The driver would only stop waiting, and keep the connection.
  url.searchParams.delete(PARAMETER)
  return { url: url.href, answerMs }
}
