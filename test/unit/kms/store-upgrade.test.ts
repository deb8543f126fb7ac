// A store that an earlier version of the broker wrote: its keys are there, and its ciphertexts open.

import { chmodSync, copyFileSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { DecryptCommand, DescribeKeyCommand, EncryptCommand } from '@aws-sdk/client-kms'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../../src/kms/index.ts'
import { text } from '../../fixtures/kms/broker-suite.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { openStoreFile, tamper } from '../../fixtures/kms/store-file.ts'

const vectors = resolve(import.meta.dirname, '../../vectors/kms-store-1')
const known = JSON.parse(readFileSync(resolve(vectors, 'store.json'), 'utf8')) as {
  readonly first: string
  readonly second: string
  readonly plaintext: string
  readonly ciphertext: string
}
const CiphertextBlob = Buffer.from(known.ciphertext, 'base64')
const EncryptionContext = { stage: 'prod' }

let broker: RunningBroker

beforeEach(async () => {
  broker = await RunningBroker.start()
  await broker.stop()
  copyFileSync(resolve(vectors, 'kms.db'), broker.path('store/kms.db'))
  chmodSync(broker.path('store/kms.db'), 0o600)
})
afterEach(() => broker[Symbol.asyncDispose]())

test('has its keys, names and states, and opens what it sealed, before and after a restart', async () => {
  const before = verifyStoredAudit(broker.store)
  for (let round = 0; round < 2; round++) {
    await broker.restart()
    const client = broker.client('root')
    const opened = await client.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }))
    expect(text(opened.Plaintext)).toBe(known.plaintext)
    expect(opened.KeyMaterialId).toMatch(/^[0-9a-f]{64}$/)
    const first = await client.send(new DescribeKeyCommand({ KeyId: 'alias/first' }))
    expect(first.KeyMetadata).toMatchObject({
      ...{ KeyId: known.first, Description: 'first', KeySpec: 'SYMMETRIC_DEFAULT' },
      CurrentKeyMaterialId: opened.KeyMaterialId,
    })
    const second = await client.send(new DescribeKeyCommand({ KeyId: known.second }))
    expect(second.KeyMetadata).toMatchObject({ KeyState: 'Disabled', Description: 'second' })
    const Plaintext = Buffer.from('new')
    const sealed = await client.send(new EncryptCommand({ KeyId: 'alias/first', Plaintext }))
    const again = await client.send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob }))
    expect(text(again.Plaintext)).toBe('new')
    client.destroy()
  }
  await broker.stop()
  expect(verifyStoredAudit(broker.store, before).seq).toBe(before.seq + 10)
})

test('is refused when a row of it was changed, and stays as it was', async () => {
  tamper(broker.path('store/kms.db'), 'UPDATE keys SET enabled = 1')
  await expect(broker.restart()).rejects.toMatchObject({ code: 'ERR_KMS_STORE' })
  await expect(broker.restart()).rejects.toMatchObject({ code: 'ERR_KMS_STORE' })
  const again = openStoreFile(broker.path('store/kms.db'))
  expect(again.get('SELECT count(*) AS n FROM keys_1')).toEqual({ n: 2 })
  again.close()
})
