// The store on the disk: what changes in it are noticed, and by whom it can be opened.

import { createRequire } from 'node:module'
import { chmodSync, chownSync, writeFileSync } from 'node:fs'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateRandomCommand,
} from '@aws-sdk/client-kms'
import type { Database } from 'node-sqlite3-wasm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../../src/kms/index.ts'
import { parseCredentials, readCredentials } from '../../../src/kms/auth/credentials-file.ts'
import { Store } from '../../../src/kms/store/store.ts'
import { principals, RunningBroker } from '../../fixtures/kms/running-broker.ts'

const sqlite = createRequire(import.meta.url)('node-sqlite3-wasm') as {
  readonly Database: new (path: string) => Database
}

let broker: RunningBroker
let keyId = ''

beforeEach(async () => {
  broker = await RunningBroker.start()
  const client = broker.client('root')
  const { KeyMetadata } = await client.send(new CreateKeyCommand({ Description: 'first' }))
  keyId = KeyMetadata?.KeyId ?? ''
  await client.send(new CreateAliasCommand({ AliasName: 'alias/a', TargetKeyId: keyId }))
  await client.send(new GenerateRandomCommand({ NumberOfBytes: 8 }))
  await expect(client.send(new DescribeKeyCommand({ KeyId: 'nothing' }))).rejects.toThrow()
  client.destroy()
  await broker.stop()
})
afterEach(() => broker[Symbol.asyncDispose]())

function openFile(): Database {
  const database = new sqlite.Database(broker.path('store/kms.db'))
  database.exec('PRAGMA locking_mode = EXCLUSIVE')
  return database
}

/** Changes the file as another program can. */
function tamper(...statements: readonly string[]): void {
  const database = openFile()
  try {
    for (const statement of statements) database.exec(statement)
  } finally {
    database.close()
  }
}

const codeOf = (work: () => unknown): string => {
  try {
    work()
    return 'nothing'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}
const open = (keyFile = broker.path('master.key')): Store => Store.open(broker.store, { keyFile })

describe('the audit log', () => {
  test('has an entry for each request, and is whole', () => {
    const head = verifyStoredAudit(broker.store)
    expect(head.seq).toBe(4)
    expect(verifyStoredAudit(broker.store, head)).toEqual(head)
  })

  test('is refused when an entry was changed, removed, reordered, or the end was cut off', () => {
    const head = verifyStoredAudit(broker.store)
    const triggers = ['audit_no_update', 'audit_no_delete'].map((name) => `DROP TRIGGER ${name}`)
    expect(() => tamper('DELETE FROM audit WHERE seq = 4')).toThrow(/append-only/)
    tamper(...triggers, "UPDATE audit SET entry = replace(entry, 'root', 'boot') WHERE seq = 2")
    expect(codeOf(() => verifyStoredAudit(broker.store))).toBe('ERR_KMS_AUDIT')
    tamper("UPDATE audit SET entry = replace(entry, 'boot', 'root') WHERE seq = 2")
    expect(verifyStoredAudit(broker.store)).toEqual(head)
    tamper('DELETE FROM audit WHERE seq = 4')
    expect(verifyStoredAudit(broker.store).seq).toBe(3)
    expect(codeOf(() => verifyStoredAudit(broker.store, head))).toBe('ERR_KMS_AUDIT')
    tamper('DELETE FROM audit WHERE seq = 2')
    expect(codeOf(() => verifyStoredAudit(broker.store))).toBe('ERR_KMS_AUDIT')
  })

  test('says who asked for what, and what was decided', () => {
    const database = openFile()
    const entries = database
      .all('SELECT entry FROM audit ORDER BY seq')
      .map((row) => JSON.parse(row['entry'] as string) as Record<string, unknown>)
    database.close()
    expect(entries.map(({ operation }) => operation)).toEqual([
      'CreateKey',
      'CreateAlias',
      'GenerateRandom',
      'DescribeKey',
    ])
    expect(entries[1]).toMatchObject({
      principal: 'arn:aws:iam::111122223333:root',
      key: expect.stringContaining(keyId) as string,
      decisions: [
        { action: 'kms:CreateAlias', allowed: true },
        { allowed: true, statement: 'key: Enable IAM User Permissions' },
      ],
    })
    expect(entries[3]).toMatchObject({ error: 'NotFoundException', decisions: [] })
  })
})

describe('a row that another program changed', () => {
  test.each([
    ["UPDATE keys SET policy = replace(policy, 'root', 'user/evil')", 'a policy'],
    ['UPDATE keys SET enabled = 0', 'a state'],
    ["UPDATE keys SET material = (SELECT value FROM meta WHERE name = 'check')", 'material'],
  ])('%s is noticed', (statement) => {
    tamper(statement)
    using store = open()
    expect(codeOf(() => store.keys.find(keyId))).toBe('ERR_KMS_STORE')
  })

  test('is noticed too when it leads a name to another key', async () => {
    await broker.restart()
    const client = broker.client('root')
    const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
    client.destroy()
    await broker.stop()
    tamper(`UPDATE aliases SET key_id = '${String(KeyMetadata?.KeyId)}'`)
    await broker.restart()
    const other = broker.client('root')
    const sent = other.send(new EncryptCommand({ KeyId: 'alias/a', Plaintext: Buffer.from('x') }))
    await expect(sent).rejects.toMatchObject({ name: 'KMSInternalException' })
    other.destroy()
    expect(broker.faults).toMatchObject([{ code: 'ERR_KMS_STORE' }])
  })
})

describe('the store', () => {
  test('opens with its own master key only, key file or passphrase', () => {
    writeFileSync(broker.path('other.key'), Buffer.alloc(32, 1), { mode: 0o600 })
    expect(codeOf(() => open(broker.path('other.key')))).toBe('ERR_KMS_MASTER_KEY')
    writeFileSync(broker.path('short.key'), 'abcd', { mode: 0o600 })
    expect(codeOf(() => open(broker.path('short.key')))).toBe('ERR_KMS_MASTER_KEY')
    chmodSync(broker.path('master.key'), 0o644)
    expect(codeOf(open)).toBe('ERR_KMS_MASTER_KEY')
    const passphrase = (name: string, text: string) => {
      writeFileSync(broker.path(name), text, { mode: 0o600 })
      return { passphraseFile: broker.path(name) }
    }
    const right = passphrase('right', 'correct horse battery staple\n')
    Store.open(broker.path('second'), right)[Symbol.dispose]()
    Store.open(broker.path('second'), right)[Symbol.dispose]()
    const wrong = passphrase('wrong', 'correct horse battery stable\n')
    expect(codeOf(() => Store.open(broker.path('second'), wrong))).toBe('ERR_KMS_MASTER_KEY')
    const short = passphrase('short', 'hunter2\n')
    expect(codeOf(() => Store.open(broker.path('third'), short))).toBe('ERR_KMS_MASTER_KEY')
  })

  test.runIf(process.getuid?.() === 0)('and what opens it belong to its user or to root', () => {
    const stranger = 4321
    for (const name of ['master.key', 'store', 'principals.json']) {
      chownSync(broker.path(name), stranger, stranger)
    }
    expect(codeOf(open)).toBe('ERR_KMS_STORE')
    chownSync(broker.store, 0, 0)
    expect(codeOf(open)).toBe('ERR_KMS_MASTER_KEY')
    const path = broker.path('principals.json')
    expect(codeOf(() => readCredentials(path))).toBe('ERR_KMS_CREDENTIALS')
    chownSync(path, 0, 0)
    expect(codeOf(() => readCredentials(path))).toBe('nothing')
  })

  test('refuses text that SQLite would cut', () => {
    using store = open()
    const fields = { description: 'a\0b', policy: '{}' }
    expect(codeOf(() => store.keys.create(fields, 0))).toBe('ERR_KMS_STORE')
  })

  test('is one process’s at a time, and refuses a file that is not its own', () => {
    using store = open()
    expect(codeOf(open)).toBe('ERR_KMS_STORE')
    store[Symbol.dispose]()
    open()[Symbol.dispose]()
    tamper('PRAGMA user_version = 99')
    expect(codeOf(open)).toBe('ERR_KMS_STORE')
    tamper('PRAGMA user_version = 1', 'PRAGMA application_id = 7')
    expect(codeOf(open)).toBe('ERR_KMS_STORE')
    writeFileSync(broker.path('store/kms.db'), 'noise'.repeat(4000))
    expect(codeOf(open)).toBe('ERR_KMS_STORE')
  })
})

test.each([
  ['that differ in case only', { Team: 'a', team: 'b' }],
  ['that are too long', { team: 'a'.repeat(257) }],
])('a principal has no tags %s', (_what, tags) => {
  const file = principals() as { principals: object[] }
  const tagged = file.principals.map((one) => ({ ...one, tags }))
  expect(codeOf(() => parseCredentials({ ...file, principals: tagged }))).toBe(
    'ERR_KMS_CREDENTIALS',
  )
})
