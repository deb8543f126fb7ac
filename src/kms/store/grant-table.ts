// Grants on keys. A row carries a MAC: who could write one into the file could use the key.

import { timingSafeEqual } from 'node:crypto'
import type { GrantContext } from '@cloister/attestation/policy'
import type { Database, Row, Value } from './database.ts'
import type { MasterKey } from './master-key.ts'

/** A grant, and what the broker knows of it. */
export interface GrantRecord {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly keyId: string
  /** Empty when it has none. */
  readonly name: string
  /** ARN. */
  readonly grantee: string
  /** ARN; empty when nobody may retire it by being named. */
  readonly retiring: string
  /** Without `kms:`, sorted. */
  readonly operations: readonly string[]
  readonly contextEquals: GrantContext | null
  readonly contextSubset: GrantContext | null
  readonly createdMs: number
}

const COLUMNS = 'id, key_id, name, grantee, retiring, operations, constraints, created_ms, mac'

/** The grants in a store. Reading throws `ERR_KMS_STORE` when a row was changed by another program. */
export class GrantTable {
  readonly #database: Database
  readonly #master: MasterKey

  constructor(database: Database, master: MasterKey) {
    this.#database = database
    this.#master = master
  }

  add(grant: GrantRecord): void {
    const values = valuesOf(grant)
    this.#database.run(`INSERT INTO grants (${COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)`, [
      ...values,
      this.#master.sign('grants', values),
    ])
  }

  find(id: string): GrantRecord | undefined {
    const row = this.#database.get(`SELECT ${COLUMNS} FROM grants WHERE id = ?`, [id])
    return row === null ? undefined : this.#checked({ ...row, id })
  }

  remove(id: string): void {
    this.#database.run('DELETE FROM grants WHERE id = ?', [id])
  }

  /** Up to `count` grants on a key with ids after `after`, in order; to a principal, or to all. */
  ofKey(
    keyId: string,
    {
      after,
      count,
      grantee = null,
    }: { readonly after: string; readonly count: number; readonly grantee?: string | null },
  ): readonly GrantRecord[] {
    const sql = `SELECT ${COLUMNS} FROM grants WHERE key_id = ?1 AND id > ?2
      AND (CAST(?3 AS TEXT) IS NULL OR grantee = ?3) ORDER BY id LIMIT ?4`
    const rows = this.#database.all(sql, [keyId, after, grantee, count])
    return rows.map((row) => this.#checked({ ...row, key_id: keyId }))
  }

  /** Up to `count` grants that a principal may retire, with ids after `after`, in order. */
  retirableBy(arn: string, after: string, count: number): readonly GrantRecord[] {
    const sql = `SELECT ${COLUMNS} FROM grants WHERE retiring = ? AND id > ? ORDER BY id LIMIT ?`
    return this.#database.all(sql, [arn, after, count]).map((row) => this.#checked(row))
  }

  /** What proves to this broker that it issued a grant; another one each time, as AWS's are. */
  tokenOf(id: string, nonce: Uint8Array): string {
    const parts = [Buffer.from(id, 'hex'), nonce, this.#master.sign('grant token', [id, nonce])]
    return Buffer.concat(parts).toString('base64')
  }

  /** The id of the grant that a token is of; undefined when this broker did not make it. */
  idOfToken(token: string): string | undefined {
    const bytes = Buffer.from(token, 'base64')
    const id = bytes.subarray(0, 32).toString('hex')
    const given = Buffer.from(token)
    const right = Buffer.from(this.tokenOf(id, bytes.subarray(32, -32)))
    return given.length === right.length && timingSafeEqual(given, right) ? id : undefined
  }

  #checked(row: Row): GrantRecord {
    const record = recordOf(row)
    this.#master.checkRow('grants', valuesOf(record), row['mac'] as Uint8Array)
    return record
  }
}

function valuesOf(grant: GrantRecord): Value[] {
  const { id, keyId, name, grantee, retiring, operations, createdMs } = grant
  const constraints = JSON.stringify([grant.contextEquals, grant.contextSubset])
  const list = operations.join(' ')
  return [id, keyId, name, grantee, retiring, list, constraints, createdMs]
}

function recordOf(row: Row): GrantRecord {
  const text = (name: string): string => String(row[name])
  const [contextEquals = null, contextSubset = null] = JSON.parse(
    text('constraints'),
  ) as readonly (GrantContext | null)[]
  return {
    ...{ id: text('id'), keyId: text('key_id'), name: text('name'), grantee: text('grantee') },
    ...{ retiring: text('retiring'), operations: text('operations').split(' ') },
    ...{ contextEquals, contextSubset, createdMs: Number(row['created_ms']) },
  }
}
