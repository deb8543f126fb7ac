// @cloister/kms-client with AWS's SDK, unmodified, against a broker: documents, what comes back, and what a hostile
// response or policy does.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import {
  CreateGrantCommand,
  DecryptCommand,
  DeriveSharedSecretCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateRandomCommand,
  GetPublicKeyCommand,
  KMSClient,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  attestedKms,
  attestWith,
  KmsClientError,
  requireLockedPolicy,
} from '../../../kms-client/src/index.ts'
import { parseEnveloped } from '../../../kms-client/src/cms.ts'
import { BrokerSuite, measured, text } from '../../fixtures/kms/broker-suite.ts'
import { ForgingParent } from '../../fixtures/kms/forging-parent.ts'
import { ARNS, keysOf, REGION } from '../../fixtures/kms/running-broker.ts'
import { once } from '../../fixtures/once.ts'

const suite = new BrokerSuite()
const attest = (spki: Uint8Array) => suite.platform.document(spki)
const TABLE_USER = 'arn:aws:iam::111122223333:user/app'
const vectors = resolve(import.meta.dirname, '../../../enclave-images/kms/tests/vectors')
const vector = (name: string) => readFileSync(join(vectors, name))

function withDocuments(client: KMSClient, from = attest): KMSClient {
  client.middlewareStack.use(attestedKms(from))
  return client
}

const codeOf = (sent: Promise<unknown>): Promise<unknown> =>
  sent.then(
    () => 'no error',
    (error: unknown) => (error instanceof KmsClientError ? error.code : error),
  )

/** Also those of the Rust client: enclave-images/kms/tests/locked_policy.rs. */
const policies = (
  JSON.parse(
    readFileSync(resolve(import.meta.dirname, '../../fixtures/kms/locked-policies.json'), 'utf8'),
  ) as readonly {
    readonly name: string
    readonly verdict: 'refused' | 'without grants' | 'grants are denied'
    /** Of the key; ENCRYPT_DECRYPT unless it is given. */
    readonly usage?: 'SIGN_VERIFY'
    /** Required roots. */
    readonly roots?: readonly string[]
    readonly statements: readonly object[]
  }[]
).map((row) => ({
  ...row,
  statements: JSON.parse(
    JSON.stringify(row.statements).replaceAll(TABLE_USER, ARNS.app),
  ) as readonly object[],
}))

const app = (Action: readonly string[], more: object = {}) => ({
  ...{ Effect: 'Allow', Principal: { AWS: ARNS.app }, Action, Resource: '*', ...more },
})
const OPENING = ['Decrypt', 'GenerateDataKey', 'GenerateDataKeyPair', 'DeriveSharedSecret']
const openings = OPENING.map((name) => `kms:${name}`)
const reading = app([
  ...['kms:Encrypt', 'kms:DescribeKey', 'kms:GetKeyPolicy', 'kms:ListGrants', 'kms:GetPublicKey'],
])
const opening = app(openings, { Condition: measured })

const keyWith = (...Statement: readonly object[]): Promise<string> => {
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
  return suite.newKey({ Policy, BypassPolicyLockoutSafetyCheck: true })
}

describe('an SDK with the plugin', () => {
  test('gets the plain field of every operation, by way of a document', async () => {
    const KeyId = await keyWith(reading, opening)
    const client = withDocuments(suite.broker.client('app'))
    const sealed = await client.send(
      new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') }),
    )
    const decrypt = async (CiphertextBlob: Uint8Array | undefined) =>
      client.send(new DecryptCommand({ CiphertextBlob }))
    const opened = await decrypt(sealed.CiphertextBlob)
    expect([text(opened.Plaintext), opened.CiphertextForRecipient]).toEqual(['secret', undefined])
    const dataKey = await client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
    expect((await decrypt(dataKey.CiphertextBlob)).Plaintext).toEqual(dataKey.Plaintext)
    const pair = await client.send(
      new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'ECC_NIST_P256' }),
    )
    const privateKey = await decrypt(pair.PrivateKeyCiphertextBlob)
    expect(privateKey.Plaintext).toEqual(pair.PrivateKeyPlaintext)
    const random = await client.send(new GenerateRandomCommand({ NumberOfBytes: 48 }))
    expect(random.Plaintext).toHaveLength(48)
    client.destroy()
  })

  test('agrees on a secret', async () => {
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [reading, opening] })
    const KeyId = await suite.newKey({
      ...{ Policy, BypassPolicyLockoutSafetyCheck: true },
      ...{ KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' },
    })
    const client = withDocuments(suite.broker.client('app'))
    const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId }))
    const agreed = await client.send(
      new DeriveSharedSecretCommand({ KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey }),
    )
    expect(agreed.SharedSecret).toHaveLength(32)
    client.destroy()
  })

  test('leaves a Recipient of the app alone', async () => {
    const KeyId = await keyWith(reading, opening)
    const client = withDocuments(suite.broker.client('app'))
    const Recipient = await suite.recipient()
    const made = await client.send(
      new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', Recipient }),
    )
    expect(made.Plaintext).toBeUndefined()
    expect(suite.open(made.CiphertextForRecipient)).toHaveLength(32)
    client.destroy()
  })

  test('sends nothing without a document', async () => {
    const failing = withDocuments(suite.broker.client('app'), attestWith('false'))
    const sent = failing.send(new GenerateRandomCommand({ NumberOfBytes: 1 }))
    expect(await codeOf(sent)).toBe('ERR_KMS_CLIENT_DOCUMENT')
    failing.destroy()
  })

  test.each([
    ['a plaintext', { Plaintext: 'AA==' }, 'ERR_KMS_CLIENT_NOT_ATTESTED'],
    [
      'a plaintext as well',
      { Plaintext: 'AA==', CiphertextForRecipient: 'AA==' },
      'ERR_KMS_CLIENT_NOT_ATTESTED',
    ],
    ['nothing', {}, 'ERR_KMS_CLIENT_NOT_ATTESTED'],
    ['no CMS', { CiphertextForRecipient: 'AA==' }, 'ERR_KMS_CLIENT_CMS'],
    [
      'a value for another key',
      { CiphertextForRecipient: vector('enclaver-hello-world.der').toString('base64') },
      'ERR_KMS_CLIENT_CMS',
    ],
  ])('refuses a response with %s', async (_, response, code) => {
    const server = createServer((request, answer) => {
      request.resume().on('end', () => answer.end(JSON.stringify(response)))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const endpoint = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
    const client = withDocuments(
      new KMSClient({ endpoint, region: REGION, credentials: keysOf('app') }),
    )
    const sent = client.send(new DecryptCommand({ CiphertextBlob: new Uint8Array(1) }))
    expect(await codeOf(sent)).toBe(code)
    client.destroy()
    server.close()
  })
})

describe('a nonce of the broker, which a policy requires and accepts once', () => {
  const Bool = { 'cloister:RecipientAttestation:UnusedNonce': 'true' }
  const fresh = (spki: Uint8Array, nonce?: Uint8Array) =>
    suite.platform.document(spki, nonce === undefined ? {} : { nonce })

  test.each([['alone'], ['with signed responses']])(
    'is in every document, %s, also in that of a request that is tried again',
    async (how) => {
      await using parent = await ForgingParent.listen(() => suite.broker.endpoint)
      const KeyId = await keyWith(reading, app(openings, { Condition: { ...measured, Bool } }))
      const client = new KMSClient({
        ...{ endpoint: parent.endpoint, region: REGION, credentials: keysOf('app') },
        maxAttempts: 3,
      })
      const signed = how === 'alone' ? {} : { responseKey: suite.broker.responseKey }
      client.middlewareStack.use(attestedKms(fresh, { brokerNonces: true, ...signed }))
      const generate = () => client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
      expect((await generate()).Plaintext).toHaveLength(32)
      // The broker has answered, but the answer gets lost.
      let lost = 0
      parent.forgery = {
        answer: (response, { headers }) => {
          if (headers['x-amz-target'] !== 'TrentService.GenerateDataKey' || lost++ > 0)
            return response
          return { ...response, status: 0 }
        },
      }
      const made = await generate()
      expect([made.Plaintext?.length, made.$metadata.attempts, lost]).toEqual([32, 2, 2])
      client.destroy()
    },
  )

  test('is missing without the option, and the document does not count', async () => {
    const KeyId = await keyWith(reading, app(openings, { Condition: { ...measured, Bool } }))
    const client = withDocuments(suite.broker.client('app'))
    const sent = client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
    await expect(sent).rejects.toMatchObject({ name: 'AccessDeniedException' })
    client.destroy()
  })

  test('cannot be had from AWS KMS, which the error says', async () => {
    const server = createServer((request, answer) => {
      request.resume().on('end', () => answer.end('{}'))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const endpoint = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
    const client = new KMSClient({ endpoint, region: REGION, credentials: keysOf('app') })
    client.middlewareStack.use(attestedKms(fresh, { brokerNonces: true }))
    const sent = client.send(new GenerateRandomCommand({ NumberOfBytes: 1 }))
    expect(await codeOf(sent)).toBe('ERR_KMS_CLIENT_DOCUMENT')
    client.destroy()
    server.close()
  })
})

describe('CiphertextForRecipient', () => {
  test('is read in both shapes, and refused at every truncation', () => {
    for (const name of ['sdkc-input-ber.der', 'sdkc-input-ber-ctx.der']) {
      const cms = vector(name)
      const { encryptedKey, iv, ciphertext } = parseEnveloped(cms)
      expect([encryptedKey.length, iv.length, ciphertext.length % 16]).toEqual([256, 16, 0])
      for (let length = 0; length < cms.length; length++)
        expect(() => parseEnveloped(cms.subarray(0, length))).toThrow(KmsClientError)
    }
  })

  test('is refused, with an error of ours, whatever is in it', () => {
    const cms = vector('sdkc-input-ber.der')
    const changes = fc.array(fc.tuple(fc.nat(cms.length - 1), fc.nat(255)), { maxLength: 4 })
    const property = fc.property(changes, (list) => {
      const changed = Uint8Array.from(cms)
      for (const [at, octet] of list) changed[at] = octet
      try {
        parseEnveloped(changed)
      } catch (error) {
        expect(error).toBeInstanceOf(KmsClientError)
      }
    })
    fc.assert(property, { numRuns: 5000 })
  })
})

describe('requireLockedPolicy', () => {
  type Row = Pick<(typeof policies)[number], 'usage' | 'roots'>
  const optionsOf = ({ roots }: Row) => (roots === undefined ? {} : { roots })
  const keyOf = ({ usage }: Row, ...Statement: readonly object[]): Promise<string> => {
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    const kind = usage && ({ KeyUsage: usage, KeySpec: 'ECC_NIST_P256' } as const)
    return suite.newKey({ Policy, BypassPolicyLockoutSafetyCheck: true, ...kind })
  }

  test.each(policies)('decides about $name', async ({ statements, verdict, ...row }) => {
    const KeyId = await keyOf(row, reading, ...statements)
    const code = await codeOf(requireLockedPolicy(suite.client('app'), KeyId, optionsOf(row)))
    expect(code).toBe(verdict === 'refused' ? 'ERR_KMS_CLIENT_POLICY_NOT_LOCKED' : 'no error')
  })

  test.each(policies.filter(({ verdict }) => verdict !== 'refused'))(
    'looks for grants where no Deny covers them: $name',
    async ({ statements, verdict, ...row }) => {
      const KeyId = await keyOf(row, reading, ...statements)
      const client = suite.client('app')
      const sent: string[] = []
      client.middlewareStack.add((next, { commandName }) => (args) => {
        sent.push(String(commandName))
        return next(args)
      })
      await requireLockedPolicy(client, KeyId, optionsOf(row))
      expect(sent.includes('ListGrantsCommand')).toBe(verdict === 'without grants')
    },
  )

  test('refuses a key whose material was imported: who did it may have kept it', async () => {
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [reading, opening] })
    const BypassPolicyLockoutSafetyCheck = true
    const external = { Policy, BypassPolicyLockoutSafetyCheck, Origin: 'EXTERNAL' } as const
    const KeyId = await suite.newKey(external)
    expect(await codeOf(requireLockedPolicy(suite.client('app'), KeyId))).toBe(
      'ERR_KMS_CLIENT_POLICY_NOT_LOCKED',
    )
  })

  test.each([
    { Origin: 'AWS_KMS', MultiRegion: true },
    { Origin: 'AWS_KMS' },
    { Origin: 'EXTERNAL_KEY_STORE', MultiRegion: false },
    { Origin: 'AWS_CLOUDHSM', MultiRegion: false },
    {},
  ] as const)('refuses a key that KMS describes as %j', async (described) => {
    const KeyId = await keyWith(reading, opening)
    const client = changing('DescribeKeyCommand', () => ({ KeyMetadata: { KeyId, ...described } }))
    expect(await codeOf(requireLockedPolicy(client, KeyId))).toBe(
      'ERR_KMS_CLIENT_POLICY_NOT_LOCKED',
    )
    client.destroy()
  })

  test('refuses a policy of which another reader would see another half', async () => {
    const KeyId = await keyWith(reading, opening)
    const client = changing('GetKeyPolicyCommand', ({ Policy = '' }) => ({
      Policy: `{"Statement":[],${Policy.slice(1)}`,
    }))
    const sent = requireLockedPolicy(client, KeyId)
    expect(await codeOf(sent)).toBe('ERR_KMS_CLIENT_POLICY_NOT_LOCKED')
    await expect(sent).rejects.toThrow('Statement twice')
    client.destroy()
  })

  test('refuses a key with a grant that no Deny covers', async () => {
    const granting = app(['kms:CreateGrant', 'kms:PutKeyPolicy'])
    const KeyId = await keyWith(reading, opening, granting)
    const client = suite.client('app')
    const GranteePrincipal = ARNS.other
    await client.send(new CreateGrantCommand({ KeyId, GranteePrincipal, Operations: ['Decrypt'] }))
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [reading, opening] })
    const BypassPolicyLockoutSafetyCheck = true
    await client.send(new PutKeyPolicyCommand({ KeyId, Policy, BypassPolicyLockoutSafetyCheck }))
    expect(await codeOf(requireLockedPolicy(client, KeyId))).toBe(
      'ERR_KMS_CLIENT_POLICY_NOT_LOCKED',
    )
  })
})

/** A client that gets other fields in the answers to a command. */
function changing(
  command: string,
  change: (output: { readonly Policy?: string | undefined }) => object,
): KMSClient {
  const client = suite.broker.client('app')
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const { output, response } = await next(args)
        return commandName === command
          ? { output: { ...output, ...change(output as { Policy?: string }) }, response }
          : { output, response }
      },
    { step: 'initialize' },
  )
  return client
}
