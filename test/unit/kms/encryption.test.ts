// Encryption under symmetric keys, and data keys, as AWS's SDK for JavaScript sees them.

import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import {
  CreateKeyCommand,
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateRandomCommand,
  ReEncryptCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import { BrokerSuite, flipped, refusalOf, text } from '../../fixtures/kms/broker-suite.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { openStoreFile } from '../../fixtures/kms/store-file.ts'

const suite = new BrokerSuite()

test('the audit log names both keys of ReEncrypt', async () => {
  await using broker = await RunningBroker.start()
  const client = broker.client('root')
  const newKey = async (): Promise<string | undefined> =>
    (await client.send(new CreateKeyCommand({}))).KeyMetadata?.Arn
  const [KeyId, DestinationKeyId] = [await newKey(), await newKey()]
  const sealed = await client.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('moved') }))
  const { CiphertextBlob } = sealed
  await client.send(new ReEncryptCommand({ CiphertextBlob, DestinationKeyId }))
  client.destroy()
  await broker.stop()
  const database = openStoreFile(broker.path('store/kms.db'))
  const [entry] = database.all("SELECT entry FROM audit WHERE entry LIKE '%ReEncrypt%'")
  database.close()
  expect(JSON.parse(entry?.['entry'] as string)).toMatchObject({
    ...{ key: KeyId, destinationKey: DestinationKeyId },
  })
})

describe('encryption', () => {
  test('opens under its key and its context only', async () => {
    const [KeyId, wrongKey] = [await suite.newKey(), await suite.newKey()]
    const EncryptionContext = { b: 'two', a: 'one', ä: '' }
    const Plaintext = Buffer.from('secret')
    const { CiphertextBlob } = await suite
      .client('app')
      .send(new EncryptCommand({ KeyId, Plaintext, EncryptionContext }))
    const decrypt = (input: object = {}) =>
      suite.client('app').send(new DecryptCommand({ CiphertextBlob, EncryptionContext, ...input }))
    expect(text((await decrypt()).Plaintext)).toBe('secret')
    const reordered = { EncryptionContext: { ä: '', a: 'one', b: 'two' }, KeyId }
    expect((await decrypt(reordered)).KeyId).toContain(KeyId)
    expect(await refusalOf(decrypt({ KeyId: wrongKey }))).toBe('IncorrectKeyException')
    for (const context of [{}, { b: 'two', a: 'one' }, { b: 'two', a: 'on', ä: 'e' }]) {
      const sent = decrypt({ EncryptionContext: context })
      expect(await refusalOf(sent)).toBe('InvalidCiphertextException')
    }
    const bytes = Buffer.from(CiphertextBlob ?? [])
    for (const changed of [
      bytes.subarray(1),
      bytes.subarray(0, -1),
      flipped(bytes, 40),
      flipped(bytes, -1),
    ]) {
      const sent = decrypt({ CiphertextBlob: changed })
      expect(await refusalOf(sent)).toBe('InvalidCiphertextException')
    }
    const ofOther = Buffer.from(bytes)
    Buffer.from(wrongKey.replaceAll('-', ''), 'hex').copy(ofOther, 5)
    expect(await refusalOf(decrypt({ CiphertextBlob: ofOther }))).toBe('InvalidCiphertextException')
  })

  test('is renewed under another key and context, with permission on both keys', async () => {
    const [SourceKeyId, DestinationKeyId] = [await suite.newKey(), await suite.newKey()]
    const Plaintext = Buffer.from('moved')
    const { CiphertextBlob } = await suite
      .client('app')
      .send(new EncryptCommand({ KeyId: SourceKeyId, Plaintext, EncryptionContext: { v: '1' } }))
    const input = {
      ...{ CiphertextBlob, DestinationKeyId, SourceEncryptionContext: { v: '1' } },
      DestinationEncryptionContext: { v: '2' },
    }
    const moved = await suite.client('app').send(new ReEncryptCommand(input))
    expect(moved.SourceKeyId).toContain(SourceKeyId)
    const opened = await suite
      .client('app')
      .send(
        new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob, EncryptionContext: { v: '2' } }),
      )
    expect(text(opened.Plaintext)).toBe('moved')
    expect(opened.KeyId).toContain(DestinationKeyId)
    expect(await refusalOf(suite.client('other').send(new ReEncryptCommand(input)))).toBe(
      'AccessDeniedException',
    )
  })

  test('gives data keys, pairs and random bytes of the sizes asked for', async () => {
    const KeyId = await suite.newKey()
    for (const [input, size] of [
      [{ KeySpec: 'AES_256' }, 32],
      [{ KeySpec: 'AES_128' }, 16],
      [{ NumberOfBytes: 1024 }, 1024],
    ] as const) {
      const key = await suite.client('app').send(new GenerateDataKeyCommand({ KeyId, ...input }))
      expect(key.Plaintext?.length).toBe(size)
      const opened = await suite
        .client('app')
        .send(new DecryptCommand({ CiphertextBlob: key.CiphertextBlob }))
      expect(opened.Plaintext).toEqual(key.Plaintext)
    }
    const hidden = await suite
      .client('app')
      .send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId, KeySpec: 'AES_256' }))
    expect(hidden).not.toHaveProperty('Plaintext')
    for (const KeyPairSpec of ['RSA_2048', 'ECC_NIST_P256', 'ECC_SECG_P256K1'] as const) {
      const pair = await suite
        .client('app')
        .send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec }))
      const key = createPrivateKey({
        key: Buffer.from(pair.PrivateKeyPlaintext ?? []),
        format: 'der',
        type: 'pkcs8',
      })
      const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
      expect(spki.equals(pair.PublicKey ?? new Uint8Array())).toBe(true)
    }
    const blind = await suite
      .client('app')
      .send(new GenerateDataKeyPairWithoutPlaintextCommand({ KeyId, KeyPairSpec: 'ECC_NIST_P384' }))
    expect(blind).not.toHaveProperty('PrivateKeyPlaintext')
    const { Plaintext } = await suite
      .client('app')
      .send(new GenerateRandomCommand({ NumberOfBytes: 77 }))
    expect(Plaintext?.length).toBe(77)
    const neither = suite.client('app').send(new GenerateDataKeyCommand({ KeyId }))
    expect(await refusalOf(neither)).toBe('ValidationException')
    const sm2 = suite
      .client('app')
      .send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'SM2' }))
    expect(await refusalOf(sm2)).toBe('UnsupportedOperationException')
  })

  test('of a dry run is decided and not done', async () => {
    const KeyId = await suite.newKey()
    const dry = { KeyId, Plaintext: randomBytes(4), DryRun: true }
    expect(await refusalOf(suite.client('app').send(new EncryptCommand(dry)))).toBe(
      'DryRunOperationException',
    )
    expect(await refusalOf(suite.client('other').send(new EncryptCommand(dry)))).toBe(
      'AccessDeniedException',
    )
    const ignoring = { DryRun: true, DryRunModifiers: ['IGNORE_CIPHERTEXT' as const] }
    const modified = (user: 'app' | 'other', input: object) =>
      suite.client(user).send(new DecryptCommand({ KeyId, ...ignoring, ...input }))
    expect(await refusalOf(modified('app', {}))).toBe('DryRunOperationException')
    expect(await refusalOf(modified('other', {}))).toBe('AccessDeniedException')
    for (const wrong of [{ KeyId: undefined }, { DryRun: false }])
      expect(await refusalOf(modified('app', wrong))).toBe('ValidationException')
    const moving = new ReEncryptCommand({
      SourceKeyId: KeyId,
      DestinationKeyId: KeyId,
      ...ignoring,
    })
    expect(await refusalOf(suite.client('app').send(moving))).toBe('DryRunOperationException')
    const granted = new EncryptCommand({ ...dry, DryRun: false, GrantTokens: ['token'] })
    expect(await refusalOf(suite.client('app').send(granted))).toBe('InvalidGrantTokenException')
  })
})
