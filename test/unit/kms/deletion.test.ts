// Keys that are to be deleted: of no use meanwhile, kept when it is cancelled, and gone from the file afterwards.

import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GetKeyPolicyCommand,
  ListAliasesCommand,
  ListKeysCommand,
  PutKeyPolicyCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
  UpdateKeyDescriptionCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../../src/kms/index.ts'
import { Store } from '../../../src/kms/store/store.ts'
import { BrokerSuite, policyFor, refusalOf, text } from '../../fixtures/kms/broker-suite.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { openStoreFile, tamper } from '../../fixtures/kms/store-file.ts'

const DAY_MS = 24 * 3600 * 1000
const suite = new BrokerSuite()
const root = () => suite.client('root')

describe('a key that is to be deleted', () => {
  test('says when, and is of no use', async () => {
    const KeyId = await suite.newKey()
    const Plaintext = Buffer.from('kept')
    const { CiphertextBlob } = await root().send(new EncryptCommand({ KeyId, Plaintext }))
    const scheduled = await root().send(
      new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }),
    )
    expect(scheduled).toMatchObject({ KeyState: 'PendingDeletion', PendingWindowInDays: 7 })
    expect(scheduled.KeyId).toMatch(new RegExp(`^arn:aws:kms:.*:key/${KeyId}$`))
    const leftMs = (scheduled.DeletionDate?.getTime() ?? 0) - Date.now()
    expect(Math.round(leftMs / DAY_MS)).toBe(7)
    const { KeyMetadata } = await root().send(new DescribeKeyCommand({ KeyId }))
    expect(KeyMetadata).toMatchObject({ Enabled: false, KeyState: 'PendingDeletion' })
    expect(KeyMetadata?.DeletionDate).toEqual(scheduled.DeletionDate)
    const refused = [
      root().send(new EncryptCommand({ KeyId, Plaintext })),
      root().send(new DecryptCommand({ CiphertextBlob })),
      root().send(new EnableKeyCommand({ KeyId })),
      root().send(new RotateKeyOnDemandCommand({ KeyId })),
      root().send(new CreateAliasCommand({ AliasName: 'alias/late', TargetKeyId: KeyId })),
      root().send(new UpdateKeyDescriptionCommand({ KeyId, Description: 'late' })),
      root().send(new ScheduleKeyDeletionCommand({ KeyId })),
    ]
    for (const sent of refused) expect(await refusalOf(sent)).toBe('KMSInvalidStateException')
    await expect(refused[0]).rejects.toThrow(`:key/${KeyId} is pending deletion.`)
    const { Policy } = await root().send(new GetKeyPolicyCommand({ KeyId }))
    await root().send(new PutKeyPolicyCommand({ KeyId, Policy }))
  })

  test('is disabled when that is cancelled, and opens what it sealed once enabled', async () => {
    const KeyId = await suite.newKey()
    const Plaintext = Buffer.from('kept')
    const { CiphertextBlob } = await root().send(new EncryptCommand({ KeyId, Plaintext }))
    const cancel = () => root().send(new CancelKeyDeletionCommand({ KeyId }))
    expect(await refusalOf(cancel())).toBe('KMSInvalidStateException')
    await root().send(new DisableKeyCommand({ KeyId }))
    await expect(cancel()).rejects.toThrow('is not pending deletion.')
    await root().send(new EnableKeyCommand({ KeyId }))
    await root().send(new ScheduleKeyDeletionCommand({ KeyId }))
    expect((await cancel()).KeyId).toContain(KeyId)
    const decrypt = () => root().send(new DecryptCommand({ CiphertextBlob }))
    expect(await refusalOf(decrypt())).toBe('DisabledException')
    await root().send(new EnableKeyCommand({ KeyId }))
    expect(text((await decrypt()).Plaintext)).toBe('kept')
  })

  test('waits 7 to 30 days, as the policy allows', async () => {
    const Condition = { NumericEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '30' } }
    const KeyId = await suite.newKey(policyFor(Condition))
    const schedule = (PendingWindowInDays?: number) =>
      suite.client('app').send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays }))
    for (const days of [0, 6, 31])
      expect(await refusalOf(schedule(days))).toBe('ValidationException')
    expect(await refusalOf(schedule(7))).toBe('AccessDeniedException')
    expect((await schedule()).PendingWindowInDays).toBe(30)
  })
})

describe('when its time has come, a key', () => {
  const wrappedOf = (path: string): Buffer => {
    const database = openStoreFile(path)
    const row = database.get('SELECT wrapped FROM materials')
    database.close()
    return Buffer.from((row as { wrapped: Uint8Array }).wrapped)
  }

  test('is gone: from the API, from the file and its log of writes, with its names', async () => {
    await using broker = await RunningBroker.start()
    const client = broker.client('root')
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ Description: 'gone' }))
    const KeyId = KeyMetadata?.KeyId
    await client.send(new CreateAliasCommand({ AliasName: 'alias/gone', TargetKeyId: KeyId }))
    const Plaintext = Buffer.from('lost')
    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext }))
    await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
    client.destroy()
    await broker.stop()
    const wrapped = wrappedOf(broker.path('store/kms.db'))

    let ahead = 7 * DAY_MS - 60_000
    await broker.restart({ now: () => Date.now() + ahead })
    expect(broker.storedBytes().includes(wrapped)).toBe(true)
    const before = broker.client('root', ahead)
    await before.send(new DescribeKeyCommand({ KeyId }))
    before.destroy()
    ahead += 61_000
    const after = broker.client('root', ahead)
    expect(await refusalOf(after.send(new DescribeKeyCommand({ KeyId })))).toBe('NotFoundException')
    expect(broker.storedBytes().includes(wrapped)).toBe(false)
    expect((await after.send(new ListKeysCommand({}))).Keys).toEqual([])
    expect((await after.send(new ListAliasesCommand({}))).Aliases).toEqual([])
    for (const refused of [
      after.send(new DecryptCommand({ CiphertextBlob })),
      after.send(new CancelKeyDeletionCommand({ KeyId })),
    ])
      expect(await refusalOf(refused)).toMatch(/^(AccessDenied|NotFound)Exception$/)
    after.destroy()
    await broker.stop()
    expect(broker.faults).toEqual([])
    verifyStoredAudit(broker.store)
    const database = openStoreFile(broker.path('store/kms.db'))
    const entries = database.all("SELECT entry FROM audit WHERE entry LIKE '%DeleteKey%'")
    database.close()
    expect(entries.map((row) => JSON.parse(row['entry'] as string) as object)).toMatchObject([
      { principal: 'cloister', operation: 'DeleteKey', key: KeyMetadata?.Arn },
    ])
  })

  test('is not deleted by a date that another program wrote', async () => {
    await using broker = await RunningBroker.start()
    const client = broker.client('root')
    const kind = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' } as const
    const { KeyMetadata } = await client.send(new CreateKeyCommand(kind))
    const other = await client.send(new CreateKeyCommand(kind))
    client.destroy()
    await broker.stop()
    const id = KeyMetadata?.KeyId ?? ''
    tamper(broker.path('store/kms.db'), `UPDATE keys SET deletion_ms = 1 WHERE id = '${id}'`)
    await broker.restart()
    const again = broker.client('root')
    const input = { Message: Buffer.from('x'), SigningAlgorithm: 'ECDSA_SHA_256' } as const
    await again.send(new SignCommand({ ...input, KeyId: other.KeyMetadata?.KeyId }))
    await again.send(new SignCommand({ ...input, KeyId: other.KeyMetadata?.KeyId }))
    again.destroy()
    await broker.stop()
    expect(broker.faults).toMatchObject([{ code: 'ERR_KMS_STORE' }])
    using store = Store.open(broker.store, { keyFile: broker.path('master.key') })
    expect(store.materials.secret(id, 1)?.length).toBeGreaterThan(32)
  })
})
