// The audit log: one entry for each request of a known principal, committed before the answer is sent.
// Each entry's hash covers the one before, so that none can be changed, removed or put in between; what a
// rewritten log cannot match is a hash that was noted elsewhere.

import { createHash } from 'node:crypto'
import { check } from '../../errors.ts'
import type { Database, Row } from './database.ts'

/** What happened, as it is kept. */
export interface AuditEntry {
  readonly time: string
  readonly requestId: string
  readonly sourceIp: string
  readonly principal: string
  readonly operation: string
  /** ARN, where the request is about a key. */
  readonly key?: string
  /** ARN of the key that ReEncrypt encrypts under. */
  readonly destinationKey?: string
  readonly encryptionContext?: Readonly<Record<string, string>>
  /** Of a verified document. */
  readonly recipient?: {
    readonly moduleId: string
    readonly assurance: string
    /** SHA-256 of the root's DER. */
    readonly rootSha256?: string
    readonly pcrs: Readonly<Record<string, string>>
  }
  /** The decisions of the policies, each with the statement that decided. */
  readonly decisions: readonly {
    readonly action: string
    readonly allowed: boolean
    readonly reason: string
    readonly statement: string | null
    /** Why the document did not count. */
    readonly ignored?: string
  }[]
  /** Absent when the request succeeded. */
  readonly error?: string
  readonly message?: string
}

/** Where a log ends. */
export interface AuditHead {
  /** Entries so far. */
  readonly seq: number
  /** Hexadecimal. */
  readonly hash: string
}

const ZERO = new Uint8Array(32)
const BATCH = 1000

interface LogEnd {
  readonly version: number
  readonly seq: number
  readonly hash: Uint8Array
}

/** Appends entries to the hash chain of a store. */
export class AuditLog {
  readonly #database: Database
  /** Where the log ends, as long as its version is the database's. */
  #end: LogEnd = { version: Number.NaN, seq: 0, hash: ZERO }

  constructor(database: Database) {
    this.#database = database
  }

  /** How many entries there are. */
  get length(): number {
    return Number(this.#last()?.['seq'] ?? 0)
  }

  /** Up to `count` entries after the given one, in order. */
  list(after: number, count: number): readonly (AuditEntry & { readonly seq: number })[] {
    const sql = 'SELECT seq, entry FROM audit WHERE seq > ? ORDER BY seq LIMIT ?'
    return this.#database.all(sql, [after, count]).map((row) => ({
      ...(JSON.parse(String(row['entry'])) as AuditEntry),
      seq: Number(row['seq']),
    }))
  }

  /** When the last entry was made, by the clock of then; undefined when there is none. */
  get lastTime(): string | undefined {
    const entry = this.#last()?.['entry']
    return entry === undefined ? undefined : (JSON.parse(String(entry)) as AuditEntry).time
  }

  /** Within a transaction. */
  append(entry: AuditEntry): void {
    const text = JSON.stringify(entry)
    const end = this.#ended()
    const seq = end.seq + 1
    const hash = hashOf(end.hash, seq, text)
    this.#database.append('INSERT INTO audit VALUES (?, ?, ?)', [seq, text, hash])
    this.#end = { ...end, seq, hash }
  }

  #ended(): LogEnd {
    const version = this.#database.logVersion
    if (this.#end.version === version) return this.#end
    const last = this.#last()
    return {
      ...{ version, seq: Number(last?.['seq'] ?? 0) },
      hash: (last?.['hash'] ?? ZERO) as Uint8Array,
    }
  }

  #last(): Row | null {
    return this.#database.get('SELECT seq, entry, hash FROM audit ORDER BY seq DESC LIMIT 1')
  }
}

/**
 * Checks every entry of a log.
 * @param noted - A head that was noted before: the log must still contain it.
 * @throws ERR_KMS_AUDIT at the first entry that does not follow
 */
export function verifyAudit(database: Database, noted?: AuditHead): AuditHead {
  let [seq, hash] = [0, ZERO as Uint8Array]
  const sql = 'SELECT seq, entry, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?'
  for (;;) {
    const rows = database.all(sql, [seq, BATCH])
    for (const row of rows) {
      const expected = hashOf(hash, seq + 1, String(row['entry']))
      const right = row['seq'] === seq + 1 && expected.equals(row['hash'] as Uint8Array)
      check(
        right,
        'ERR_KMS_AUDIT',
        `entry ${String(seq + 1)} of the audit log was changed or removed`,
      )
      seq += 1
      hash = expected
      if (noted?.seq === seq) checkNoted(noted, expected)
    }
    if (rows.length < BATCH) break
  }
  const isThere = noted === undefined || noted.seq <= seq
  check(isThere, 'ERR_KMS_AUDIT', `the audit log ends at ${String(seq)}, before the noted entry`)
  return { seq, hash: Buffer.from(hash).toString('hex') }
}

function checkNoted(noted: AuditHead, hash: Buffer): void {
  const right = hash.toString('hex') === noted.hash
  check(right, 'ERR_KMS_AUDIT', `entry ${String(noted.seq)} is not the one that was noted`)
}

function hashOf(previous: Uint8Array, seq: number, entry: string): Buffer {
  return createHash('sha256')
    .update(previous)
    .update(`${String(seq)}\n`)
    .update(entry)
    .digest()
}
