// Documents: for which a key opens, how they are answered, and which are refused.

import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateRandomCommand,
  type RecipientInfo,
} from '@aws-sdk/client-kms'
import { beforeAll, describe, expect, test } from 'vitest'
import { rootDigest } from '../../../src/kms/index.ts'
import {
  BrokerSuite,
  flipped,
  hexOfPcr,
  measured,
  policyFor,
  refusalOf,
} from '../../fixtures/kms/broker-suite.ts'
import { openCms } from '../../fixtures/kms/open-cms.ts'
import { largeRsaPair, Platform, rsaPair } from '../../fixtures/kms/platform.ts'
import { rawCall } from '../../fixtures/kms/raw-call.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'

const suite = new BrokerSuite()
let stranger: Platform

beforeAll(async () => {
  stranger = await Platform.make()
})

describe('a document', () => {
  test('opens a key for its measurements, and the answer is for its key alone', async () => {
    const KeyId = await suite.newKey(policyFor(measured, ['kms:Decrypt', 'kms:GenerateDataKey*']))
    const Plaintext = Buffer.from('for the enclave')
    const { CiphertextBlob } = await suite
      .client('root')
      .send(new EncryptCommand({ KeyId, Plaintext }))
    const decrypt = async (Recipient?: RecipientInfo) =>
      suite.client('app').send(new DecryptCommand({ CiphertextBlob, Recipient }))
    const granted = await decrypt(await suite.recipient())
    expect(granted.Plaintext).toBeUndefined()
    expect(suite.open(granted.CiphertextForRecipient).toString()).toBe('for the enclave')
    expect(await refusalOf(decrypt())).toBe('AccessDeniedException')
    const pcrs = new Map(
      Array.from({ length: 16 }, (_, n) => [n, Buffer.alloc(48, n + 2)] as const),
    )
    const changed = await suite.recipient(undefined, { pcrs })
    expect(await refusalOf(decrypt(changed))).toBe('AccessDeniedException')
    const sent = suite
      .client('other')
      .send(new DecryptCommand({ CiphertextBlob, Recipient: await suite.recipient() }))
    expect(await refusalOf(sent)).toBe('AccessDeniedException')
  })

  test('is answered by each operation that takes one, in place of the plain field', async () => {
    const KeyId = await suite.newKey()
    const key = await suite.client('app').send(
      new GenerateDataKeyCommand({
        KeyId,
        KeySpec: 'AES_256',
        Recipient: await suite.recipient(),
      }),
    )
    expect(key.Plaintext).toBeUndefined()
    const opened = await suite
      .client('app')
      .send(new DecryptCommand({ CiphertextBlob: key.CiphertextBlob }))
    expect(
      suite.open(key.CiphertextForRecipient).equals(opened.Plaintext ?? new Uint8Array()),
    ).toBe(true)
    const pair = await suite.client('app').send(
      new GenerateDataKeyPairCommand({
        ...{ KeyId, KeyPairSpec: 'RSA_2048', Recipient: await suite.recipient() },
      }),
    )
    expect(pair.PrivateKeyPlaintext).toBeUndefined()
    createPrivateKey({ key: suite.open(pair.CiphertextForRecipient), format: 'der', type: 'pkcs8' })
    const random = await suite
      .client('app')
      .send(new GenerateRandomCommand({ NumberOfBytes: 32, Recipient: await suite.recipient() }))
    expect(suite.open(random.CiphertextForRecipient).length).toBe(32)
  })

  test.each([3072, 4096])('of an RSA-%d key is answered for that key', async (bits) => {
    const KeyId = await suite.newKey(policyFor(measured))
    const Plaintext = Buffer.from('for a longer key')
    const sealed = await suite.client('root').send(new EncryptCommand({ KeyId, Plaintext }))
    const { spki, privateKey } = await largeRsaPair(bits)
    const Recipient = await suite.recipient(await suite.platform.document(spki))
    const { CiphertextForRecipient = new Uint8Array() } = await suite
      .client('app')
      .send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob, Recipient }))
    expect(openCms(CiphertextForRecipient, privateKey).toString()).toBe('for a longer key')
    expect(() => suite.open(CiphertextForRecipient)).toThrow()
  })

  test.each([
    ['without KeyEncryptionAlgorithm', undefined],
    ['with RSAES_PKCS1_V1_5', 'RSAES_PKCS1_V1_5'],
    ['with RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_1'],
    ['with the name in lower case', 'rsaes_oaep_sha_256'],
    ['with an empty name', ''],
    ['with a list', ['RSAES_OAEP_SHA_256']],
  ])('is refused %s', async (_what, KeyEncryptionAlgorithm) => {
    const document = Buffer.from(await suite.platform.document(suite.rsa.spki)).toString('base64')
    const Recipient = { AttestationDocument: document, KeyEncryptionAlgorithm }
    const KeyId = await suite.newKey()
    for (const [operation, fields] of Object.entries({
      GenerateDataKey: { KeyId, KeySpec: 'AES_256' },
      GenerateRandom: { NumberOfBytes: 8 },
    })) {
      const answer = await rawCall(suite.broker, operation, { ...fields, Recipient })
      expect(answer).toMatchObject({ status: 400 })
      expect(['ValidationException', 'SerializationException']).toContain(answer['__type'])
      expect(Object.keys(answer)).not.toContain('Plaintext')
    }
  })

  test('of a NitroTPM is answered too', async () => {
    const nitroTpmPcrs = new Map([
      [4, Buffer.alloc(48, 5)],
      [7, Buffer.alloc(48, 8)],
    ])
    const tpmDocument = { pcrs: undefined, nitrotpm_pcrs: nitroTpmPcrs }
    const tpm = { StringEquals: { 'kms:RecipientAttestation:NitroTPMPCR4': hexOfPcr(4) } }
    const key = await suite.newKey(policyFor(tpm))
    const generate = async (keyId: string, Recipient: RecipientInfo) =>
      suite
        .client('app')
        .send(new GenerateDataKeyCommand({ KeyId: keyId, KeySpec: 'AES_256', Recipient }))
    await generate(key, await suite.recipient(undefined, tpmDocument))
    expect(await refusalOf(generate(key, await suite.recipient()))).toBe('AccessDeniedException')
    const enclaveOnly = await suite.newKey(policyFor(measured))
    const ofTpm = generate(enclaveOnly, await suite.recipient(undefined, tpmDocument))
    expect(await refusalOf(ofTpm)).toBe('AccessDeniedException')
  })

  test('is refused when anything about it is wrong', async () => {
    const KeyId = await suite.newKey()
    const expired = await suite.platform.expired()
    const zero = new Map(Array.from({ length: 16 }, (_, n) => [n, new Uint8Array(48)] as const))
    const good = Buffer.from(await suite.platform.document(suite.rsa.spki))
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const ecSpki = ec.publicKey.export({ type: 'spki', format: 'der' })
    const wrong: Readonly<Record<string, Uint8Array>> = {
      ERR_CHAIN_SIGNATURE: await stranger.document(suite.rsa.spki),
      ERR_CERTIFICATE_EXPIRED: await expired.document(suite.rsa.spki),
      ERR_DOCUMENT_TOO_OLD: await suite.platform.document(suite.rsa.spki, {
        timestamp: Date.now() - 301_000,
      }),
      ERR_DOCUMENT_FROM_FUTURE: await suite.platform.document(suite.rsa.spki, {
        timestamp: Date.now() + 120_000,
      }),
      ERR_DEBUG_DOCUMENT: await suite.platform.document(suite.rsa.spki, { pcrs: zero }),
      ERR_COSE_SIGNATURE: flipped(good, -1),
      ERR_: randomBytes(64),
      'no public_key': await suite.platform.document(null),
      'not a DER SubjectPublicKeyInfo': await suite.platform.document(ecSpki),
      '2048, 3072 or 4096': await suite.platform.document(rsaPair(1024).spki),
      'SubjectPublicKeyInfo of RSA': await suite.platform.document(
        Buffer.concat([suite.rsa.spki, Buffer.of(0)]),
      ),
      'DER SubjectPublicKeyInfo of RSA with 2048': await suite.platform.document(
        evenModulus(suite.rsa.spki),
      ),
    }
    for (const [words, document] of Object.entries(wrong)) {
      const sent = suite.client('app').send(
        new GenerateDataKeyCommand({
          ...{ KeyId, KeySpec: 'AES_256', Recipient: await suite.recipient(document) },
        }),
      )
      expect(await refusalOf(sent), words).toBe('ValidationException')
      await expect(sent, words).rejects.toThrow(words)
    }
    await using rootless = await RunningBroker.start()
    const sent = rootless
      .client('app')
      .send(new GenerateRandomCommand({ NumberOfBytes: 8, Recipient: await suite.recipient() }))
    expect(await refusalOf(sent)).toBe('UnsupportedOperationException')
  })

  test.each([
    ['assurance', 'StringEquals', 'Assurance', 'software-tpm', 'hardware-tpm'],
    [
      'root',
      'StringEquals',
      'RootSha256',
      (): string => rootDigest(suite.platform.root),
      'ab'.repeat(32),
    ],
    ['enclave', 'StringEquals', 'ModuleId', (): string => suite.platform.moduleId, 'i-0-enc1'],
    ['age', 'NumericLessThan', 'AgeSeconds', '60', '5'],
  ] as const)(
    'can be asked for its %s in a condition',
    async (_what, operator, name, right, wrong) => {
      const key = `cloister:RecipientAttestation:${name}`
      const generate = async (value: string) => {
        const KeyId = await suite.newKey(policyFor({ [operator]: { [key]: value } }))
        const timestamp = Date.now() - 20_000
        const Recipient = await suite.recipient(undefined, { timestamp })
        const command = new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', Recipient })
        return suite.client('app').send(command)
      }
      await generate(typeof right === 'function' ? right() : right)
      expect(await refusalOf(generate(wrong))).toBe('AccessDeniedException')
    },
  )
})

/** A number that is no product of two primes; its last byte is before INTEGER 65537. */
function evenModulus(spki: Buffer): Buffer {
  const changed = Buffer.from(spki)
  changed.writeUInt8(spki.readUInt8(spki.length - 6) & 0xfe, spki.length - 6)
  return changed
}
