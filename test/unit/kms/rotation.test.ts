// Rotation: on demand and by time, with old ciphertexts that still open.

import {
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  DisableKeyRotationCommand,
  EnableKeyCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GetKeyRotationStatusCommand,
  ListKeyRotationsCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import { BrokerSuite, policyFor, refusalOf, text } from '../../fixtures/kms/broker-suite.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'

const DAY_MS = 24 * 3600 * 1000
const suite = new BrokerSuite()
const root = () => suite.client('root')

const seal = (client: KMSClient, KeyId: string, word: string) =>
  client.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from(word) }))
const materialOf = async (client: KMSClient, KeyId: string): Promise<string | undefined> =>
  (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.CurrentKeyMaterialId

describe('a key that is rotated on demand', () => {
  test('encrypts with new material and opens what each of the older ones sealed', async () => {
    const KeyId = await suite.newKey()
    const words = ['first', 'second', 'third']
    const sealed: [string, Uint8Array | undefined, string | undefined][] = []
    for (const word of words) {
      const { CiphertextBlob } = await seal(root(), KeyId, word)
      sealed.push([word, CiphertextBlob, await materialOf(root(), KeyId)])
      await root().send(new RotateKeyOnDemandCommand({ KeyId }))
    }
    expect(new Set(sealed.map(([, , material]) => material)).size).toBe(3)
    for (const [word, CiphertextBlob, material] of sealed) {
      const opened = await root().send(new DecryptCommand({ CiphertextBlob }))
      expect(text(opened.Plaintext)).toBe(word)
      expect(opened.KeyMaterialId).toBe(material)
    }
    // The number of the material is authenticated with the rest.
    const blob = Buffer.from(sealed[0]?.[1] ?? [])
    blob.writeUInt32BE(2, 21)
    const sent = root().send(new DecryptCommand({ CiphertextBlob: blob }))
    expect(await refusalOf(sent)).toBe('InvalidCiphertextException')
  })

  test('lists its rotations in pages, and all materials when asked', async () => {
    const KeyId = await suite.newKey()
    for (let count = 0; count < 3; count++)
      await root().send(new RotateKeyOnDemandCommand({ KeyId }))
    const list = (input: object = {}) =>
      root().send(new ListKeyRotationsCommand({ KeyId, ...input }))
    const all = await list({ IncludeKeyMaterial: 'ALL_KEY_MATERIAL' })
    expect(all.Rotations?.map((one) => one.KeyMaterialState)).toEqual([
      ...['NON_CURRENT', 'NON_CURRENT', 'NON_CURRENT', 'CURRENT'],
    ])
    expect(all.Rotations?.[0]).not.toHaveProperty('RotationDate')
    const found: unknown[] = []
    for (let Marker: string | undefined, more = true; more;) {
      const page = await list({ Limit: 2, Marker })
      found.push(...(page.Rotations ?? []))
      more = page.Truncated === true
      Marker = page.NextMarker
    }
    expect(found).toEqual(all.Rotations?.slice(1))
    expect(found[0]).toMatchObject({ KeyId, RotationType: 'ON_DEMAND' })
  })

  test('is rotated 25 times at most', async () => {
    const KeyId = await suite.newKey()
    const rotate = () => root().send(new RotateKeyOnDemandCommand({ KeyId }))
    for (let count = 0; count < 25; count++) await rotate()
    expect(await refusalOf(rotate())).toBe('LimitExceededException')
  })

  test('must be symmetric, enabled, and allowed to', async () => {
    const signs = await suite.newKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
    const rotate = (KeyId: string) => root().send(new RotateKeyOnDemandCommand({ KeyId }))
    expect(await refusalOf(rotate(signs))).toBe('UnsupportedOperationException')
    const status = await root().send(new GetKeyRotationStatusCommand({ KeyId: signs }))
    expect(status.KeyRotationEnabled).toBe(false)
    const KeyId = await suite.newKey()
    const other = suite.client('other').send(new RotateKeyOnDemandCommand({ KeyId }))
    expect(await refusalOf(other)).toBe('AccessDeniedException')
    await root().send(new DisableKeyCommand({ KeyId }))
    expect(await refusalOf(rotate(KeyId))).toBe('DisabledException')
  })
})

describe('automatic rotation', () => {
  const statusOf = (client: KMSClient, KeyId: string) =>
    client.send(new GetKeyRotationStatusCommand({ KeyId }))

  test('is switched on with a period, told, and switched off', async () => {
    const KeyId = await suite.newKey()
    expect(await statusOf(root(), KeyId)).toMatchObject({ KeyId, KeyRotationEnabled: false })
    await root().send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 90 }))
    const status = await statusOf(root(), KeyId)
    expect(status).toMatchObject({ KeyRotationEnabled: true, RotationPeriodInDays: 90 })
    const leftMs = (status.NextRotationDate?.getTime() ?? 0) - Date.now()
    expect(Math.round(leftMs / DAY_MS)).toBe(90)
    await root().send(new EnableKeyRotationCommand({ KeyId }))
    expect((await statusOf(root(), KeyId)).RotationPeriodInDays).toBe(90)
    await root().send(new DisableKeyRotationCommand({ KeyId }))
    expect((await statusOf(root(), KeyId)).KeyRotationEnabled).toBe(false)
    await root().send(new EnableKeyRotationCommand({ KeyId }))
    expect((await statusOf(root(), KeyId)).RotationPeriodInDays).toBe(365)
    await root().send(new ScheduleKeyDeletionCommand({ KeyId }))
    expect((await statusOf(root(), KeyId)).KeyRotationEnabled).toBe(false)
    for (const days of [89, 2561]) {
      const input = { KeyId, RotationPeriodInDays: days }
      const sent = root().send(new EnableKeyRotationCommand(input))
      expect(await refusalOf(sent)).toBe('ValidationException')
    }
  })

  test('can be limited to a period by the policy', async () => {
    const Condition = { NumericLessThanEquals: { 'kms:RotationPeriodInDays': '180' } }
    const KeyId = await suite.newKey(policyFor(Condition))
    const enable = (RotationPeriodInDays: number) =>
      suite.client('app').send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays }))
    expect(await refusalOf(enable(365))).toBe('AccessDeniedException')
    await enable(180)
  })

  test('happens when its time has come, but for a disabled key once it is enabled', async () => {
    await using broker = await RunningBroker.start()
    let ahead = 0
    await broker.restart({ now: () => Date.now() + ahead })
    const first = broker.client('root')
    const made = await Promise.all([0, 1].map(() => first.send(new CreateKeyCommand({}))))
    const [busy = '', idle = ''] = made.map(({ KeyMetadata }) => KeyMetadata?.KeyId)
    const { CiphertextBlob } = await seal(first, busy, 'of before')
    for (const KeyId of [busy, idle])
      await first.send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 90 }))
    await first.send(new DisableKeyCommand({ KeyId: idle }))
    const before = [await materialOf(first, busy), await materialOf(first, idle)]
    first.destroy()

    ahead = 91 * DAY_MS
    const later = broker.client('root', ahead)
    expect(await materialOf(later, busy)).not.toBe(before[0])
    expect(await materialOf(later, idle)).toBe(before[1])
    const opened = await later.send(new DecryptCommand({ CiphertextBlob }))
    expect(text(opened.Plaintext)).toBe('of before')
    expect(opened.KeyMaterialId).toBe(before[0])
    const { Rotations } = await later.send(new ListKeyRotationsCommand({ KeyId: busy }))
    expect(Rotations).toMatchObject([{ RotationType: 'AUTOMATIC', KeyMaterialState: 'CURRENT' }])
    const { NextRotationDate } = await statusOf(later, busy)
    const leftMs = (NextRotationDate?.getTime() ?? 0) - Date.now() - ahead
    expect(Math.round(leftMs / DAY_MS)).toBe(90)
    await later.send(new EnableKeyCommand({ KeyId: idle }))
    expect(await materialOf(later, idle)).not.toBe(before[1])
    later.destroy()
    expect(broker.faults).toEqual([])
  })
})
