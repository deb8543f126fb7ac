// RSA, EC and HMAC keys as AWS's SDK for JavaScript sees them; what they sign, encrypt and derive is checked with
// Node.js's own functions under the public key alone.

import {
  constants,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  verify,
  type KeyObject,
} from 'node:crypto'
import {
  CreateKeyCommand,
  DecryptCommand,
  DeriveSharedSecretCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateMacCommand,
  GetPublicKeyCommand,
  ReEncryptCommand,
  SignCommand,
  VerifyCommand,
  VerifyMacCommand,
  type KeySpec,
  type KeyUsageType,
  type MacAlgorithmSpec,
  type MessageType,
  type SigningAlgorithmSpec,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import { BrokerSuite, flipped, policyFor, refusalOf } from '../../fixtures/kms/broker-suite.ts'
import { ARNS } from '../../fixtures/kms/running-broker.ts'

const suite = new BrokerSuite()
const app = () => suite.client('app')
const MESSAGE = Buffer.from('what is signed')

const newKey = (KeySpec: KeySpec, KeyUsage: KeyUsageType, Policy = policyFor()): Promise<string> =>
  suite.newKey({ KeySpec, KeyUsage, Policy })

async function publicKeyOf(KeyId: string): Promise<KeyObject> {
  const { PublicKey } = await app().send(new GetPublicKeyCommand({ KeyId }))
  return createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' })
}

const RSA = [
  ...(['RSASSA_PSS_SHA_256', 'RSASSA_PSS_SHA_384', 'RSASSA_PSS_SHA_512'] as const),
  ...(['RSASSA_PKCS1_V1_5_SHA_256', 'RSASSA_PKCS1_V1_5_SHA_384'] as const),
  'RSASSA_PKCS1_V1_5_SHA_512',
] as const

/** Whether Node.js takes the signature for one of the message. */
function isValid(algorithm: string, key: KeyObject, signature: Uint8Array): boolean {
  const isPss = algorithm.startsWith('RSASSA_PSS')
  const padding = isPss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const rsa = isPss ? { padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : { padding }
  const options = algorithm.startsWith('RSASSA_') ? { key, ...rsa } : key
  return verify(`sha${algorithm.slice(-3)}`, MESSAGE, options, signature)
}

describe.each([
  ['RSA_2048', RSA],
  ['RSA_3072', ['RSASSA_PSS_SHA_512']],
  ['RSA_4096', ['RSASSA_PSS_SHA_256', 'RSASSA_PKCS1_V1_5_SHA_384']],
  ['ECC_NIST_P256', ['ECDSA_SHA_256']],
  ['ECC_NIST_P384', ['ECDSA_SHA_384']],
  ['ECC_NIST_P521', ['ECDSA_SHA_512']],
  ['ECC_SECG_P256K1', ['ECDSA_SHA_256']],
] as const)('%s', (spec, algorithms: readonly SigningAlgorithmSpec[]) => {
  test('signs messages and digests alike, and verifies nothing else', async () => {
    const KeyId = await newKey(spec, 'SIGN_VERIFY')
    const publicKey = await publicKeyOf(KeyId)
    for (const SigningAlgorithm of algorithms) {
      const hash = `sha${SigningAlgorithm.slice(-3)}`
      const digest = createHash(hash).update(MESSAGE).digest()
      const forms: [MessageType, Buffer][] = [
        ['RAW', MESSAGE],
        ['DIGEST', digest],
      ]
      for (const [MessageType, Message] of forms) {
        const input = { KeyId, SigningAlgorithm, MessageType, Message }
        const { Signature = new Uint8Array() } = await app().send(new SignCommand(input))
        expect(isValid(SigningAlgorithm, publicKey, Signature), MessageType).toBe(true)
        const check = (changes: object) =>
          app().send(new VerifyCommand({ ...input, Signature, ...changes }))
        for (const [type, message] of forms) {
          const changes = { MessageType: type, Message: message }
          expect((await check(changes)).SignatureValid).toBe(true)
          for (const wrong of [
            { ...changes, Message: flipped(message, 3) },
            { ...changes, Signature: flipped(Signature, -1) },
            { ...changes, Signature: flipped(Signature, 5) },
            { ...changes, Signature: Signature.subarray(1) },
            { ...changes, Signature: randomBytes(Signature.length) },
          ])
            expect(await refusalOf(check(wrong))).toBe('KMSInvalidSignatureException')
        }
      }
      const short = { KeyId, SigningAlgorithm, Message: digest.subarray(1) }
      const sent = app().send(new SignCommand({ ...short, MessageType: 'DIGEST' }))
      expect(await refusalOf(sent)).toBe('ValidationException')
    }
  })
})

describe('an asymmetric key', () => {
  test('is described with its kind, and its public half is given out', async () => {
    const { KeyMetadata } = await suite
      .client('root')
      .send(new CreateKeyCommand({ KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' }))
    expect(KeyMetadata).toMatchObject({
      ...{ KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY', SigningAlgorithms: RSA },
      CustomerMasterKeySpec: 'RSA_2048',
    })
    expect(KeyMetadata?.EncryptionAlgorithms).toBeUndefined()
    const KeyId = KeyMetadata?.KeyId
    const given = await suite.client('root').send(new GetPublicKeyCommand({ KeyId }))
    expect(given).toMatchObject({ KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' })
    expect(given.SigningAlgorithms).toEqual(RSA)
    const symmetric = new GetPublicKeyCommand({ KeyId: await suite.newKey() })
    expect(await refusalOf(app().send(symmetric))).toBe('UnsupportedOperationException')
    await suite.client('root').send(new DisableKeyCommand({ KeyId }))
    await suite.client('root').send(new GetPublicKeyCommand({ KeyId }))
  })

  test('is made for one use, which must be said and fit', async () => {
    const create = (KeySpec: KeySpec, KeyUsage?: KeyUsageType) =>
      suite.client('root').send(new CreateKeyCommand({ KeySpec, KeyUsage }))
    for (const [spec, usage] of [
      ['RSA_2048', undefined],
      ['RSA_2048', 'KEY_AGREEMENT'],
      ['ECC_NIST_P256', 'ENCRYPT_DECRYPT'],
      ['ECC_SECG_P256K1', 'KEY_AGREEMENT'],
      ['HMAC_256', 'SIGN_VERIFY'],
      ['SYMMETRIC_DEFAULT', 'SIGN_VERIFY'],
    ] as const)
      expect(await refusalOf(create(spec, usage)), spec).toBe('ValidationException')
  })

  test('does not do what its use and kind do not allow', async () => {
    const [signs, encrypts] = [
      await newKey('RSA_2048', 'SIGN_VERIFY'),
      await newKey('RSA_2048', 'ENCRYPT_DECRYPT'),
    ]
    const curve = await newKey('ECC_NIST_P256', 'SIGN_VERIFY')
    const signing = { Message: MESSAGE, SigningAlgorithm: 'RSASSA_PSS_SHA_256' } as const
    const Plaintext = randomBytes(8)
    const wrong = [
      new SignCommand({ KeyId: encrypts, ...signing }),
      new SignCommand({ KeyId: curve, ...signing }),
      new EncryptCommand({ KeyId: signs, Plaintext }),
      new EncryptCommand({ KeyId: encrypts, Plaintext }),
      new GenerateDataKeyCommand({ KeyId: encrypts, KeySpec: 'AES_256' }),
      new GenerateMacCommand({ KeyId: signs, Message: MESSAGE, MacAlgorithm: 'HMAC_SHA_256' }),
    ]
    for (const command of wrong) {
      const sent = app().send(command as SignCommand)
      expect(await refusalOf(sent)).toBe('InvalidKeyUsageException')
    }
    await expect(app().send(new SignCommand({ KeyId: encrypts, ...signing }))).rejects.toThrow(
      'key usage is ENCRYPT_DECRYPT which is not valid for Sign.',
    )
  })

  test('can be limited to an algorithm by its policy', async () => {
    const Condition = { StringEquals: { 'kms:SigningAlgorithm': 'RSASSA_PSS_SHA_512' } }
    const KeyId = await newKey('RSA_2048', 'SIGN_VERIFY', policyFor(Condition))
    const sign = (SigningAlgorithm: SigningAlgorithmSpec) =>
      app().send(new SignCommand({ KeyId, Message: MESSAGE, SigningAlgorithm }))
    await sign('RSASSA_PSS_SHA_512')
    expect(await refusalOf(sign('RSASSA_PSS_SHA_256'))).toBe('AccessDeniedException')
  })

  test('signs nothing in a dry run, and nothing for who may not', async () => {
    const KeyId = await newKey('ECC_NIST_P256', 'SIGN_VERIFY')
    const input = { KeyId, Message: MESSAGE, SigningAlgorithm: 'ECDSA_SHA_256' } as const
    const dry = app().send(new SignCommand({ ...input, DryRun: true }))
    expect(await refusalOf(dry)).toBe('DryRunOperationException')
    const other = suite.client('other').send(new SignCommand(input))
    expect(await refusalOf(other)).toBe('AccessDeniedException')
    await suite.client('root').send(new DisableKeyCommand({ KeyId }))
    expect(await refusalOf(app().send(new SignCommand(input)))).toBe('DisabledException')
    const { KeyMetadata } = await app().send(new DescribeKeyCommand({ KeyId }))
    expect(KeyMetadata?.KeyState).toBe('Disabled')
  })
})

describe('RSA encryption', () => {
  const encryption = (EncryptionAlgorithm: 'RSAES_OAEP_SHA_1' | 'RSAES_OAEP_SHA_256') => ({
    EncryptionAlgorithm,
  })

  test('opens what was encrypted here, and outside under the public key', async () => {
    const KeyId = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const key = await publicKeyOf(KeyId)
    for (const [algorithm, oaepHash, most] of [
      ['RSAES_OAEP_SHA_1', 'sha1', 214],
      ['RSAES_OAEP_SHA_256', 'sha256', 190],
    ] as const) {
      const Plaintext = randomBytes(most)
      const input = { KeyId, ...encryption(algorithm) }
      const here = await app().send(new EncryptCommand({ ...input, Plaintext }))
      const outside = publicEncrypt({ key, oaepHash }, Plaintext)
      for (const CiphertextBlob of [here.CiphertextBlob, outside]) {
        const opened = await app().send(new DecryptCommand({ ...input, CiphertextBlob }))
        expect(Plaintext.equals(opened.Plaintext ?? new Uint8Array())).toBe(true)
      }
      const long = app().send(new EncryptCommand({ ...input, Plaintext: randomBytes(most + 1) }))
      await expect(long).rejects.toThrow(
        `Algorithm ${algorithm} and key spec RSA_2048 cannot encrypt data larger than ${String(most)} bytes.`,
      )
      let zeroFirst = outside
      while (zeroFirst[0] !== 0) zeroFirst = publicEncrypt({ key, oaepHash }, Plaintext)
      for (const CiphertextBlob of [flipped(outside, 9), zeroFirst.subarray(1)]) {
        const sent = app().send(new DecryptCommand({ ...input, CiphertextBlob }))
        expect(await refusalOf(sent)).toBe('InvalidCiphertextException')
      }
    }
    const EncryptionContext = { a: 'b' }
    const Plaintext = randomBytes(8)
    const withContext = new EncryptCommand({
      ...{ KeyId, Plaintext, EncryptionContext, ...encryption('RSAES_OAEP_SHA_1') },
    })
    expect(await refusalOf(app().send(withContext))).toBe('ValidationException')
  })

  test('is renewed from and to symmetric keys', async () => {
    const [rsa, symmetric] = [await newKey('RSA_2048', 'ENCRYPT_DECRYPT'), await suite.newKey()]
    const Plaintext = Buffer.from('moved')
    const { CiphertextBlob } = await app().send(new EncryptCommand({ KeyId: symmetric, Plaintext }))
    const there = await app().send(
      new ReEncryptCommand({
        ...{ CiphertextBlob, DestinationKeyId: rsa },
        DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      }),
    )
    const back = await app().send(
      new ReEncryptCommand({
        ...{ CiphertextBlob: there.CiphertextBlob, SourceKeyId: rsa, DestinationKeyId: symmetric },
        SourceEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      }),
    )
    const opened = await app().send(new DecryptCommand({ CiphertextBlob: back.CiphertextBlob }))
    expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Plaintext)
    expect(back.SourceKeyMaterialId).toBeUndefined()
    expect(back.DestinationKeyMaterialId).toMatch(/^[0-9a-f]{64}$/)
  })

  test('answers to a document', async () => {
    const KeyId = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const input = { KeyId, ...encryption('RSAES_OAEP_SHA_256') }
    const Plaintext = Buffer.from('for the enclave')
    const { CiphertextBlob } = await app().send(new EncryptCommand({ ...input, Plaintext }))
    const opened = await app().send(
      new DecryptCommand({ ...input, CiphertextBlob, Recipient: await suite.recipient() }),
    )
    expect(opened.Plaintext).toBeUndefined()
    expect(suite.open(opened.CiphertextForRecipient)).toEqual(Plaintext)
  })
})

describe('HMAC', () => {
  test.each([224, 256, 384, 512] as const)('of %s bits is made and verified', async (bits) => {
    const KeyId = await newKey(`HMAC_${bits}`, 'GENERATE_VERIFY_MAC')
    const MacAlgorithm: MacAlgorithmSpec = `HMAC_SHA_${bits}`
    const input = { KeyId, MacAlgorithm, Message: MESSAGE }
    const { Mac = new Uint8Array() } = await app().send(new GenerateMacCommand(input))
    expect(Mac.length).toBe(bits / 8)
    const check = (changes: object = {}) =>
      app().send(new VerifyMacCommand({ ...input, Mac, ...changes }))
    expect((await check()).MacValid).toBe(true)
    for (const wrong of [{ Mac: flipped(Mac, 0) }, { Mac: Mac.subarray(1) }, { Message: Mac }])
      expect(await refusalOf(check(wrong))).toBe('KMSInvalidMacException')
    const other = bits === 256 ? 'HMAC_SHA_512' : 'HMAC_SHA_256'
    expect(await refusalOf(check({ MacAlgorithm: other }))).toBe('InvalidKeyUsageException')
    expect(Mac).not.toEqual(createHmac(`sha${bits}`, '').update(MESSAGE).digest())
  })
})

describe('a shared secret', () => {
  test.each([
    ['ECC_NIST_P256', 'P-256'],
    ['ECC_NIST_P384', 'P-384'],
    ['ECC_NIST_P521', 'P-521'],
  ] as const)('on %s is the one that the other side derives', async (spec, namedCurve) => {
    const KeyId = await newKey(spec, 'KEY_AGREEMENT')
    const theirs = generateKeyPairSync('ec', { namedCurve })
    const PublicKey = theirs.publicKey.export({ format: 'der', type: 'spki' })
    const derive = (changes: object = {}) =>
      app().send(
        new DeriveSharedSecretCommand({
          ...{ KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey, ...changes },
        }),
      )
    const expected = diffieHellman({
      ...{ privateKey: theirs.privateKey, publicKey: await publicKeyOf(KeyId) },
    })
    const plain = await derive()
    expect(plain).toMatchObject({ KeyAgreementAlgorithm: 'ECDH', KeyOrigin: 'AWS_KMS' })
    expect(expected.equals(plain.SharedSecret ?? new Uint8Array())).toBe(true)
    const hidden = await derive({ Recipient: await suite.recipient() })
    expect(hidden.SharedSecret).toBeUndefined()
    expect(suite.open(hidden.CiphertextForRecipient)).toEqual(expected)
    const foreign = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
    for (const wrong of [
      foreign.export({ format: 'der', type: 'spki' }),
      rsa.export({ format: 'der', type: 'spki' }),
      Buffer.concat([PublicKey, Buffer.of(0)]),
      // A point that is not on the curve.
      flipped(PublicKey, -1),
      randomBytes(91),
    ])
      expect(await refusalOf(derive({ PublicKey: wrong }))).toBe('ValidationException')
    expect(await refusalOf(derive({ DryRun: true }))).toBe('DryRunOperationException')
  })

  test('is for a document alone where the policy asks for one', async () => {
    const image = 'kms:RecipientAttestation:PCR0'
    const Condition = { StringEqualsIgnoreCase: { [image]: Buffer.alloc(48, 1).toString('hex') } }
    const KeyId = await newKey('ECC_NIST_P256', 'KEY_AGREEMENT', policyFor(Condition))
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const PublicKey = publicKey.export({ format: 'der', type: 'spki' })
    const input = { KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey } as const
    const denied = app().send(new DeriveSharedSecretCommand(input))
    await expect(denied).rejects.toThrow(`User: ${ARNS.app} is not authorized to perform`)
    const Recipient = await suite.recipient()
    await app().send(new DeriveSharedSecretCommand({ ...input, Recipient }))
  })
})

test('an RSA key has the bits that its name says', async () => {
  for (const bits of [2048, 3072, 4096] as const) {
    const key = await publicKeyOf(await newKey(`RSA_${bits}`, 'ENCRYPT_DECRYPT'))
    expect(key.asymmetricKeyDetails).toMatchObject({ modulusLength: bits, publicExponent: 65_537n })
  }
})
