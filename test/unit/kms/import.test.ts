// Material from outside, as AWS's SDK for JavaScript brings it in.

import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import {
  CreateKeyCommand,
  DecryptCommand,
  DeleteImportedKeyMaterialCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GenerateMacCommand,
  GetParametersForImportCommand,
  GetPublicKeyCommand,
  ImportKeyMaterialCommand,
  ListKeyRotationsCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  VerifyCommand,
  type ImportKeyMaterialCommandInput,
  type KMSClient,
  type KeySpec,
  type KeyUsageType,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import { BrokerSuite, policyFor, refusalOf, text } from '../../fixtures/kms/broker-suite.ts'
import { importMaterial, wrapMaterial, type Importing } from '../../fixtures/kms/import-material.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { openStoreFile } from '../../fixtures/kms/store-file.ts'

const DAY_MS = 24 * 3600 * 1000
const suite = new BrokerSuite()
const root = () => suite.client('root')

const newKey = async (
  client: KMSClient,
  KeySpec: KeySpec = 'SYMMETRIC_DEFAULT',
  KeyUsage: KeyUsageType = 'ENCRYPT_DECRYPT',
): Promise<string> => {
  const input = { Origin: 'EXTERNAL', KeySpec, KeyUsage, Policy: policyFor() } as const
  return (await client.send(new CreateKeyCommand(input))).KeyMetadata?.KeyId ?? ''
}

const bring = (
  KeyId: string,
  material: Uint8Array,
  { client = root(), ...importing }: Importing & { readonly client?: KMSClient } = {},
) => importMaterial(client, KeyId, material, importing)

const stateOf = async (KeyId: string, client = root()) =>
  (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata
const seal = (KeyId: string, word: string) =>
  root().send(new EncryptCommand({ KeyId, Plaintext: Buffer.from(word) }))

describe('a key whose material comes from outside', () => {
  test('waits for it, works with it, and takes the same again and no other', async () => {
    const KeyId = await newKey(root())
    expect(await stateOf(KeyId)).toMatchObject({
      ...{ Enabled: false, KeyState: 'PendingImport', Origin: 'EXTERNAL' },
    })
    expect(await refusalOf(seal(KeyId, 'early'))).toBe('KMSInvalidStateException')
    const material = randomBytes(32)
    const id = await bring(KeyId, material)
    expect(await stateOf(KeyId)).toMatchObject({
      ...{ KeyState: 'Enabled', ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' },
      CurrentKeyMaterialId: id,
    })
    const { CiphertextBlob } = await seal(KeyId, 'sealed')
    const remove = () => root().send(new DeleteImportedKeyMaterialCommand({ KeyId }))
    expect((await remove()).KeyMaterialId).toBe(id)
    await remove()
    expect((await stateOf(KeyId))?.KeyState).toBe('PendingImport')
    const decrypt = () => root().send(new DecryptCommand({ CiphertextBlob }))
    await expect(decrypt()).rejects.toThrow(`${KeyId} is pending import.`)
    expect(await refusalOf(bring(KeyId, randomBytes(32)))).toBe('IncorrectKeyMaterialException')
    expect(await bring(KeyId, material, { algorithm: 'RSA_AES_KEY_WRAP_SHA_256' })).toBe(id)
    expect(text((await decrypt()).Plaintext)).toBe('sealed')
    await root().send(new DisableKeyCommand({ KeyId }))
    await bring(KeyId, material)
    expect((await stateOf(KeyId))?.KeyState).toBe('Disabled')
  })

  test.each([
    'RSAES_OAEP_SHA_1',
    'RSAES_OAEP_SHA_256',
    'RSA_AES_KEY_WRAP_SHA_1',
    'RSA_AES_KEY_WRAP_SHA_256',
  ] as const)('takes it by %s, and HMAC is that of the material', async (algorithm) => {
    const KeyId = await newKey(root(), 'HMAC_384', 'GENERATE_VERIFY_MAC')
    const material = randomBytes(48)
    await bring(KeyId, material, { algorithm })
    const Message = Buffer.from('message')
    const { Mac } = await root().send(
      new GenerateMacCommand({ KeyId, Message, MacAlgorithm: 'HMAC_SHA_384' }),
    )
    expect(Buffer.from(Mac ?? [])).toEqual(createHmac('sha384', material).update(Message).digest())
  })

  test('takes private keys of its own kind', async () => {
    const KeyId = await newKey(root(), 'ECC_NIST_P384', 'SIGN_VERIFY')
    const algorithm = 'RSA_AES_KEY_WRAP_SHA_256'
    const pair = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })
    const der = ({ privateKey }: ReturnType<typeof pair>) =>
      privateKey.export({ format: 'der', type: 'pkcs8' })
    const [ours, foreign] = [pair('P-384'), pair('P-256')]
    for (const wrong of [der(foreign), randomBytes(48)])
      expect(await refusalOf(bring(KeyId, wrong, { algorithm }))).toBe(
        'IncorrectKeyMaterialException',
      )
    const early = root().send(new GetPublicKeyCommand({ KeyId }))
    expect(await refusalOf(early)).toBe('KMSInvalidStateException')
    await bring(KeyId, der(ours), { algorithm })
    const { PublicKey } = await root().send(new GetPublicKeyCommand({ KeyId }))
    const spki = ours.publicKey.export({ format: 'der', type: 'spki' })
    expect(spki.equals(PublicKey ?? new Uint8Array())).toBe(true)
    const Message = Buffer.from('signed elsewhere')
    const Signature = sign('sha384', Message, ours.privateKey)
    const input = { KeyId, Message, Signature, SigningAlgorithm: 'ECDSA_SHA_384' } as const
    expect((await root().send(new VerifyCommand(input))).SignatureValid).toBe(true)
    const rsa = await newKey(root(), 'RSA_2048', 'ENCRYPT_DECRYPT')
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    await bring(rsa, privateKey.export({ format: 'der', type: 'pkcs8' }), { algorithm })
    expect((await stateOf(rsa))?.KeyState).toBe('Enabled')
  })

  test('is rotated to further material, and opens what each of it sealed', async () => {
    const KeyId = await newKey(root())
    const [first, second] = [randomBytes(32), randomBytes(32)]
    await bring(KeyId, first)
    const rotate = () => root().send(new RotateKeyOnDemandCommand({ KeyId }))
    expect(await refusalOf(rotate())).toBe('KMSInvalidStateException')
    const old = await seal(KeyId, 'old')
    const isNew = { ImportType: 'NEW_KEY_MATERIAL', KeyMaterialDescription: 'second' } as const
    const id = await bring(KeyId, second, isNew)
    expect(await refusalOf(bring(KeyId, randomBytes(32), isNew))).toBe('KMSInvalidStateException')
    const list = async () =>
      (
        await root().send(
          new ListKeyRotationsCommand({ KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' }),
        )
      ).Rotations
    expect(await list()).toMatchObject([
      { KeyMaterialState: 'CURRENT', ImportState: 'IMPORTED' },
      { KeyMaterialState: 'PENDING_ROTATION', KeyMaterialId: id, KeyMaterialDescription: 'second' },
    ])
    await rotate()
    expect((await stateOf(KeyId))?.CurrentKeyMaterialId).toBe(id)
    const fresh = await seal(KeyId, 'fresh')
    const decrypt = async (CiphertextBlob: Uint8Array | undefined) =>
      text((await root().send(new DecryptCommand({ CiphertextBlob }))).Plaintext)
    expect(await decrypt(old.CiphertextBlob)).toBe('old')
    expect(await decrypt(fresh.CiphertextBlob)).toBe('fresh')
    const [{ KeyMaterialId } = {}] = (await list()) ?? []
    await root().send(new DeleteImportedKeyMaterialCommand({ KeyId, KeyMaterialId }))
    expect(await refusalOf(decrypt(fresh.CiphertextBlob))).toBe('KMSInvalidStateException')
    expect(await list()).toMatchObject([{ ImportState: 'PENDING_IMPORT' }, {}])
    const named = { KeyMaterialId }
    expect(await refusalOf(bring(KeyId, second, named))).toBe('IncorrectKeyMaterialException')
    await bring(KeyId, first, named)
    expect(await decrypt(old.CiphertextBlob)).toBe('old')
    const itself = root().send(new EnableKeyRotationCommand({ KeyId }))
    expect(await refusalOf(itself)).toBe('UnsupportedOperationException')
  })
})

describe('material is refused', () => {
  const parametersOf = (KeyId: string, input: object = {}) =>
    root().send(
      new GetParametersForImportCommand({
        ...{ KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' },
        ...input,
      }),
    )

  test('for keys of the broker’s own, and keys that are to be deleted', async () => {
    const own = await suite.newKey()
    await expect(parametersOf(own)).rejects.toThrow('origin is AWS_KMS which is not valid for this')
    const remove = root().send(new DeleteImportedKeyMaterialCommand({ KeyId: own }))
    expect(await refusalOf(remove)).toBe('UnsupportedOperationException')
    const KeyId = await newKey(root())
    await root().send(new ScheduleKeyDeletionCommand({ KeyId }))
    expect(await refusalOf(parametersOf(KeyId))).toBe('KMSInvalidStateException')
    const old = { WrappingAlgorithm: 'RSAES_PKCS1_V1_5' }
    const other = await newKey(root())
    expect(await refusalOf(parametersOf(other, old))).toBe('UnsupportedOperationException')
  })

  test('with another key’s token, a token of noise, or encrypted for another', async () => {
    const [KeyId, other] = [await newKey(root()), await newKey(root())]
    const ours = await parametersOf(KeyId)
    const theirs = await parametersOf(other)
    const algorithm = 'RSAES_OAEP_SHA_256'
    const good = wrapMaterial(randomBytes(32), ours.PublicKey ?? new Uint8Array(), algorithm)
    const send = (input: Partial<ImportKeyMaterialCommandInput>) =>
      root().send(
        new ImportKeyMaterialCommand({
          ...{ KeyId, ImportToken: ours.ImportToken, EncryptedKeyMaterial: good },
          ...{ ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE', ...input },
        }),
      )
    const foreign = wrapMaterial(randomBytes(32), theirs.PublicKey ?? new Uint8Array(), algorithm)
    const short = wrapMaterial(randomBytes(31), ours.PublicKey ?? new Uint8Array(), algorithm)
    const cases: [Partial<ImportKeyMaterialCommandInput>, string][] = [
      [{ ImportToken: theirs.ImportToken }, 'InvalidImportTokenException'],
      [{ ImportToken: randomBytes(200) }, 'InvalidImportTokenException'],
      [{ EncryptedKeyMaterial: foreign }, 'InvalidCiphertextException'],
      [{ EncryptedKeyMaterial: randomBytes(256) }, 'InvalidCiphertextException'],
      [{ EncryptedKeyMaterial: short }, 'IncorrectKeyMaterialException'],
      [{ ExpirationModel: 'KEY_MATERIAL_EXPIRES' }, 'ValidationException'],
      [{ ValidTo: new Date(Date.now() + DAY_MS) }, 'ValidationException'],
      [
        { ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: new Date(Date.now() - DAY_MS) },
        'ValidationException',
      ],
      [
        { ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: new Date(Date.now() + 366 * DAY_MS) },
        'ValidationException',
      ],
    ]
    for (const [input, name] of cases) expect(await refusalOf(send(input))).toBe(name)
    await send({})
  })
})

describe('material of a key', () => {
  test('is gone from the file when it is deleted, and when it expires', async () => {
    await using broker = await RunningBroker.start()
    let ahead = 0
    await broker.restart({ now: () => Date.now() + ahead })
    const client = broker.client('root')
    const [deleted, expiring] = [await newKey(client), await newKey(client)]
    const material = randomBytes(32)
    await bring(deleted, randomBytes(32), { client })
    await bring(expiring, material, {
      ...{ client, ExpirationModel: 'KEY_MATERIAL_EXPIRES' },
      ValidTo: new Date(Date.now() + DAY_MS),
    })
    expect(await stateOf(expiring, client)).toMatchObject({
      ...{ ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: expect.any(Date) as Date },
    })
    client.destroy()
    await broker.stop()
    const database = openStoreFile(broker.path('store/kms.db'))
    const rows = database.all('SELECT key_id, wrapped FROM materials') as {
      readonly key_id: string
      readonly wrapped: Uint8Array
    }[]
    database.close()
    const isStored = (id: string): boolean => {
      const wrapped = rows.find((row) => row.key_id === id)?.wrapped ?? []
      return broker.storedBytes().includes(Buffer.from(wrapped))
    }
    await broker.restart({ now: () => Date.now() + ahead })
    expect([deleted, expiring].map(isStored)).toEqual([true, true])
    const later = broker.client('root')
    await later.send(new DeleteImportedKeyMaterialCommand({ KeyId: deleted }))
    expect([deleted, expiring].map(isStored)).toEqual([false, true])
    ahead = DAY_MS + 1000
    later.destroy()
    const last = broker.client('root', ahead)
    expect(await stateOf(expiring, last)).toMatchObject({ KeyState: 'PendingImport' })
    expect([deleted, expiring].map(isStored)).toEqual([false, false])
    await bring(expiring, material, { client: last })
    expect(await stateOf(expiring, last)).toMatchObject({ KeyState: 'Enabled' })
    last.destroy()
    expect(broker.faults).toEqual([])
  })

  test('comes in within a day after its parameters were given', async () => {
    await using broker = await RunningBroker.start()
    let ahead = 0
    await broker.restart({ now: () => Date.now() + ahead })
    const client = broker.client('root')
    const KeyId = await newKey(client)
    const { ImportToken, PublicKey = new Uint8Array() } = await client.send(
      new GetParametersForImportCommand({
        ...{ KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' },
      }),
    )
    ahead = DAY_MS + 1000
    const late = broker.client('root', ahead)
    const EncryptedKeyMaterial = wrapMaterial(randomBytes(32), PublicKey, 'RSAES_OAEP_SHA_256')
    const sent = late.send(
      new ImportKeyMaterialCommand({
        ...{ KeyId, ImportToken, EncryptedKeyMaterial },
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      }),
    )
    expect(await refusalOf(sent)).toBe('ExpiredImportTokenException')
    for (const one of [client, late]) one.destroy()
  })
})
