// The thread that talks to PostgreSQL for postgres.ts, one statement at a time. A connection that was lost is made
// again for the next transaction, and never within one. One whose server does not answer in time is closed: the answer
// may still come, and must not be read.

import { Socket } from 'node:net'
import type { MessagePort } from 'node:worker_threads'
import { workerData } from 'node:worker_threads'
import pg from 'pg'
import type {
  Numbered,
  PostgresAddress,
  PostgresReply,
  PostgresRequest,
} from './postgres-thread.ts'

const { port, signal, url, answerMs } = workerData as PostgresAddress & {
  readonly port: MessagePort
  readonly signal: Int32Array
}

const CONNECT_TIMEOUT_MS = 5_000
/** A broker that hangs must not keep the others waiting for its lock for ever. */
const SESSION = `SET lock_timeout = '20s'; SET statement_timeout = '30s';
  SET idle_in_transaction_session_timeout = '10s';
  SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')`

// Times, numbers and counts are below 2^53.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

let client: pg.Client | undefined
/** Of the client, also while it connects. */
let socket: Socket | undefined

async function connected(): Promise<pg.Client> {
  if (client !== undefined) return client
  const fresh = new pg.Client({
    ...{ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true },
    application_name: 'cloister kms',
    stream: () => (socket = new Socket()),
  })
  const forget = (): void => {
    if (client === fresh) client = undefined
  }
  fresh.on('error', forget).on('end', forget)
  await fresh.connect()
  await fresh.query(SESSION)
  client = fresh
  return fresh
}

async function answer(request: PostgresRequest): Promise<PostgresReply> {
  const wait = { isLate: false }
  const timer = setTimeout(() => {
    wait.isLate = true
    client = undefined
    socket?.destroy()
  }, answerMs)
  try {
    return await execute(request)
  } catch (cause) {
    if (client === undefined) socket?.destroy()
    const { message, code = '' } = cause as Error & { code?: string }
    const { isLate } = wait
    const failure = isLate
      ? `the server did not answer within ${String(answerMs)} ms`
      : message || code
    return { rows: [], changes: 0, failure, isLost: client === undefined, isLate }
  } finally {
    clearTimeout(timer)
  }
}

async function execute({ sql, values, mayConnect }: PostgresRequest): Promise<PostgresReply> {
  if (client === undefined && !mayConnect) throw new Error('the connection was lost')
  // One that was lost while nobody used it is noticed now; nothing has been done on it.
  const result = await (await connected()).query(sql, values.length > 0 ? [...values] : undefined)
  // Of several statements, the last one's.
  const last = Array.isArray(result) ? (result as pg.QueryResult[]).at(-1) : result
  const { rows = [], rowCount = 0 } = last ?? {}
  return { rows: rows as PostgresReply['rows'], changes: rowCount ?? 0 }
}

port.on('message', (request: Numbered<PostgresRequest> | null) => {
  if (request === null) {
    void client?.end()
    port.close()
    return
  }
  void answer(request).then((reply) => {
    port.postMessage({ ...reply, number: request.number } satisfies Numbered<PostgresReply>)
    Atomics.store(signal, 0, 1)
    Atomics.notify(signal, 0)
  })
})
