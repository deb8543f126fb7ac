// With many keys and a long log, no request and no maintenance may look at all rows of a table: what SQLite plans to do
// for every statement that a broker has executed.

import {
  CreateAliasCommand,
  CreateGrantCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  ListAliasesCommand,
  ListGrantsCommand,
  ListKeyRotationsCommand,
  ListKeysCommand,
  ListRetirableGrantsCommand,
  RevokeGrantCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  TagResourceCommand,
  UpdateAliasCommand,
  type CreateKeyCommandInput,
} from '@aws-sdk/client-kms'
import { expect, test, vi } from 'vitest'
import { SqliteDatabase } from '../../../src/kms/store/sqlite.ts'
import { ARNS, RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { importMaterial } from '../../fixtures/kms/import-material.ts'

const DAY_MS = 24 * 3600 * 1000
/** All but those about tables: of an upgrade, whose table is gone, and of the list of tables. */
const READING = /^\s*(SELECT|DELETE|UPDATE)\b(?![^]*(keys_1|sqlite_master))/

test('no statement of a broker scans a table', async () => {
  const spies = [
    vi.spyOn(SqliteDatabase.prototype, 'all'),
    vi.spyOn(
      SqliteDatabase.prototype as unknown as { execute: (sql: string) => number },
      'execute',
    ),
  ]
  await using broker = await RunningBroker.start()
  await useEverything(broker)
  // Its time has come: maintenance deletes the key, and what expired.
  await broker.restart({ now: () => Date.now() + 400 * DAY_MS })
  await broker.stop()
  const statements = new Set(spies.flatMap(({ mock }) => mock.calls.map(([sql]) => sql)))
  vi.restoreAllMocks()
  expect(statements.size).toBeGreaterThan(20)
  using database = SqliteDatabase.open(broker.store)
  const scans = [...statements].filter((sql) => READING.test(sql) && isScan(database, sql))
  expect(scans).toEqual([])
  const [known] = SCANS.filter((sql) => !isScan(database, sql))
  expect(known).toBeUndefined()
})

/** That would be found. */
const SCANS = [
  'SELECT min(created_ms) FROM keys',
  'SELECT id FROM keys WHERE enabled = 1',
  'SELECT count(*) FROM audit',
]

function isScan(database: SqliteDatabase, sql: string): boolean {
  // The last entry of the log is the first that such a scan finds.
  if (sql.endsWith('ORDER BY seq DESC LIMIT 1')) return false
  const plan = database.all(`EXPLAIN QUERY PLAN ${sql}`)
  // A search without a condition is how SQLite calls a scan for a minimum.
  return plan.some(({ detail }) => /^SCAN (?!CONSTANT)|^SEARCH [^(]*$/.test(String(detail)))
}

/** Every kind of statement: keys and what belongs to them, made, listed, used, changed and due. */
async function useEverything(broker: RunningBroker): Promise<void> {
  const client = broker.client('root')
  const newKey = async (input: CreateKeyCommandInput = {}): Promise<string> =>
    (await client.send(new CreateKeyCommand(input))).KeyMetadata?.KeyId ?? ''
  const [KeyId, doomed, expiring] = [
    await newKey(),
    await newKey(),
    await newKey({ Origin: 'EXTERNAL' }),
  ]
  const [AliasName, TargetKeyId] = ['alias/plans', KeyId]
  await client.send(new CreateAliasCommand({ AliasName, TargetKeyId }))
  await client.send(new ListAliasesCommand({}))
  await client.send(new ListAliasesCommand({ KeyId }))
  const Plaintext = Buffer.from('x')
  const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId: AliasName, Plaintext }))
  await client.send(new EnableKeyRotationCommand({ KeyId }))
  await client.send(new RotateKeyOnDemandCommand({ KeyId }))
  await client.send(new ListKeyRotationsCommand({ KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' }))
  await client.send(new DecryptCommand({ CiphertextBlob }))
  const [GranteePrincipal, RetiringPrincipal] = [ARNS.app, ARNS.app]
  const grant = { KeyId, GranteePrincipal, RetiringPrincipal, Operations: ['Decrypt' as const] }
  const { GrantId } = await client.send(new CreateGrantCommand(grant))
  await client.send(new ListGrantsCommand({ KeyId }))
  await client.send(new ListGrantsCommand({ KeyId, GranteePrincipal }))
  await client.send(new ListRetirableGrantsCommand({ RetiringPrincipal }))
  await client.send(new RevokeGrantCommand({ KeyId, GrantId }))
  await client.send(new TagResourceCommand({ KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] }))
  await client.send(new ListKeysCommand({ Limit: 1 }))
  await client.send(new UpdateAliasCommand({ AliasName, TargetKeyId: doomed }))
  await client.send(new DeleteAliasCommand({ AliasName }))
  await importMaterial(client, expiring, Buffer.alloc(32, 1), {
    ...{ ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: new Date(Date.now() + DAY_MS) },
  })
  await client.send(new EncryptCommand({ KeyId: expiring, Plaintext }))
  await client.send(new ScheduleKeyDeletionCommand({ KeyId: doomed, PendingWindowInDays: 7 }))
  client.destroy()
}
