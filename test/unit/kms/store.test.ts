// The store on the disk: what changes in it are noticed, and by whom it can be opened.

import { chmodSync, chownSync, writeFileSync } from 'node:fs'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateRandomCommand,
} from '@aws-sdk/client-kms'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../../src/kms/index.ts'
import { parseCredentials, readCredentials } from '../../../src/kms/auth/credentials-file.ts'
import { Store } from '../../../src/kms/store/store.ts'
import { principals, RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { openStoreFile, tamper } from '../../fixtures/kms/store-file.ts'

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

const file = (): string => broker.path('store/kms.db')
const change = (...statements: readonly string[]): void => tamper(file(), ...statements)

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
    expect(() => change('DELETE FROM audit WHERE seq = 4')).toThrow(/append-only/)
    change(...triggers, "UPDATE audit SET entry = replace(entry, 'root', 'boot') WHERE seq = 2")
    expect(codeOf(() => verifyStoredAudit(broker.store))).toBe('ERR_KMS_AUDIT')
    change("UPDATE audit SET entry = replace(entry, 'boot', 'root') WHERE seq = 2")
    expect(verifyStoredAudit(broker.store)).toEqual(head)
    change('DELETE FROM audit WHERE seq = 4')
    expect(verifyStoredAudit(broker.store).seq).toBe(3)
    expect(codeOf(() => verifyStoredAudit(broker.store, head))).toBe('ERR_KMS_AUDIT')
    change('DELETE FROM audit WHERE seq = 2')
    expect(codeOf(() => verifyStoredAudit(broker.store))).toBe('ERR_KMS_AUDIT')
  })

  test('says who asked for what, and what was decided', () => {
    const database = openStoreFile(file())
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
    ["UPDATE keys SET usage = 'SIGN_VERIFY'", 'a use'],
  ])('%s is noticed', (statement) => {
    change(statement)
    using store = open()
    expect(codeOf(() => store.keys.find(keyId))).toBe('ERR_KMS_STORE')
  })

  test('is noticed in its material, too', () => {
    change("UPDATE materials SET wrapped = (SELECT value FROM meta WHERE name = 'check')")
    using store = open()
    expect(codeOf(() => store.materials.secret(keyId, 1))).toBe('ERR_KMS_STORE')
  })

  test('is noticed too when it leads a name to another key', async () => {
    await broker.restart()
    const client = broker.client('root')
    const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
    client.destroy()
    await broker.stop()
    change(`UPDATE aliases SET key_id = '${String(KeyMetadata?.KeyId)}'`)
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
    const kind = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin: 'AWS_KMS' } as const
    const fields = { description: 'a\0b', policy: '{}', publicKey: null, ...kind }
    expect(codeOf(() => store.keys.create(fields, 0))).toBe('ERR_KMS_STORE')
  })

  test('is one process’s at a time, and refuses a file that is not its own', () => {
    using store = open()
    expect(codeOf(open)).toBe('ERR_KMS_STORE')
    store[Symbol.dispose]()
    open()[Symbol.dispose]()
    change('PRAGMA user_version = 99')
    expect(codeOf(open)).toBe('ERR_KMS_STORE')
    change('PRAGMA user_version = 2', 'PRAGMA application_id = 7')
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
