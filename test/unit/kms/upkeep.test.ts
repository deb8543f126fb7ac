// What the broker does by itself, when the store fails meanwhile.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CreateKeyCommand, EncryptCommand } from '@aws-sdk/client-kms'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../../../src/files/index.ts'
import { importMaterial } from '../../../src/kms/imported-key.ts'
import { Store } from '../../../src/kms/store/store.ts'
import { Upkeep } from '../../../src/kms/upkeep.ts'
import { importMaterial as importKeyMaterial } from '../../fixtures/kms/import-material.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { tamper } from '../../fixtures/kms/store-file.ts'

test('what a full disk prevented is done once there is room again, and reported once', () => {
  using scratch = temporaryDirectory('upkeep')
  const keyFile = join(scratch.path, 'master.key')
  writeFileSync(keyFile, randomBytes(32), { mode: 0o600 })
  using store = Store.open(join(scratch.path, 'store'), { keyFile })
  let nowMs = 1_000_000
  const kind = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin: 'EXTERNAL' } as const
  const key = store.keys.create({ description: '', policy: '{}', ...kind, publicKey: null }, nowMs)
  importMaterial(store, key, {
    ...{ material: { secret: randomBytes(32), publicKey: null }, nowMs, validToMs: nowMs + 1000 },
    ...{ description: '', materialId: undefined, isNew: false },
  })
  const append = store.audit.append.bind(store.audit)
  let isFull = true
  store.audit.append = (entry) => {
    if (isFull) throw new Error('database or disk is full')
    append(entry)
  }
  const faults: unknown[] = []
  const report = (fault: unknown): void => {
    faults.push(fault)
  }
  const place = { region: 'us-east-1', account: '111122223333' }
  using upkeep = new Upkeep({ store, place, now: () => nowMs, report })
  nowMs += 2000
  upkeep.work()
  upkeep.work()
  expect(store.materials.secret(key.id, 1)).toBeDefined()
  expect(faults).toHaveLength(1)
  isFull = false
  nowMs += 60_000
  upkeep.work()
  expect(store.materials.secret(key.id, 1)).toBeUndefined()
})

test('material that has expired is not used, even if it cannot be deleted', async () => {
  let nowMs = Date.now()
  await using broker = await RunningBroker.start({ now: () => nowMs })
  const client = broker.client('root')
  const { KeyMetadata } = await client.send(new CreateKeyCommand({ Origin: 'EXTERNAL' }))
  const KeyId = KeyMetadata?.KeyId ?? ''
  const ValidTo = new Date(nowMs + 60_000)
  await importKeyMaterial(client, KeyId, randomBytes(32), {
    ...{ ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo },
  })
  const encrypt = { KeyId, Plaintext: Buffer.from('x') }
  await client.send(new EncryptCommand(encrypt))
  client.destroy()
  await broker.stop()
  tamper(
    broker.path('store/kms.db'),
    "CREATE TRIGGER full BEFORE UPDATE ON materials BEGIN SELECT RAISE(ABORT, 'no room'); END",
  )
  nowMs += 120_000
  await broker.restart({ now: () => nowMs })
  const late = broker.client('root', 120_000)
  await expect(late.send(new EncryptCommand(encrypt))).rejects.toMatchObject({
    name: 'KMSInvalidStateException',
  })
  late.destroy()
  expect(broker.faults).toMatchObject([{ code: 'ERR_KMS_STORE' }])
})
