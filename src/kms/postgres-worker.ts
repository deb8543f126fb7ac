// The thread that talks to PostgreSQL for postgres.ts, one statement at a time. A connection that was lost is made
// again for the next transaction, and never within one.

import type { MessagePort } from 'node:worker_threads'
import { workerData } from 'node:worker_threads'
import pg from 'pg'
import type { PostgresReply, PostgresRequest } from './postgres.ts'

const { port, signal, url } = workerData as {
  readonly port: MessagePort
  readonly signal: Int32Array
  readonly url: string
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

async function connected(): Promise<pg.Client> {
  if (client !== undefined) return client
  const fresh = new pg.Client({
    ...{ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true },
    application_name: 'cloister kms',
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

async function answer({ sql, values, mayConnect }: PostgresRequest): Promise<PostgresReply> {
  try {
    if (client === undefined && !mayConnect) throw new Error('the connection was lost')
    // One that was lost while nobody used it is noticed now; nothing has been done on it.
    const result = await (await connected()).query(sql, values.length > 0 ? [...values] : undefined)
    const { rows, rowCount } = Array.isArray(result) ? { rows: [], rowCount: 0 } : result
    return { rows: rows as PostgresReply['rows'], changes: rowCount ?? 0 }
  } catch (cause) {
    const { message, code = '' } = cause as Error & { code?: string }
    return { rows: [], changes: 0, failure: message || code, isLost: client === undefined }
  }
}

port.on('message', (request: PostgresRequest | null) => {
  if (request === null) {
    void client?.end()
    port.close()
    return
  }
  void answer(request).then((reply) => {
    port.postMessage(reply)
    Atomics.store(signal, 0, 1)
    Atomics.notify(signal, 0)
  })
})
