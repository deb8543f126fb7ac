// Requests of every shape, to every operation: what a client gets is one of AWS's errors or an answer, never
// a failure of the broker; and blobs of noise open nothing.

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseCredentials } from '../../src/kms/auth/credentials-file.ts'
import { answerRequest } from '../../src/kms/broker.ts'
import { openBlob, sealBlob } from '../../src/kms/crypto/ciphertext-blob.ts'
import { Fields } from '../../src/kms/fields.ts'
import { Call } from '../../src/kms/operations/call.ts'
import { OPERATIONS } from '../../src/kms/operations/index.ts'
import { RecipientVerifier } from '../../src/kms/recipient/recipient.ts'
import { Store } from '../../src/kms/store/store.ts'
import { Throttle } from '../../src/kms/throttle.ts'
import { Upkeep } from '../../src/kms/upkeep.ts'
import { Platform } from '../fixtures/kms/platform.ts'
import { signed } from '../fixtures/kms/signed-request.ts'
import { ACCOUNT, principals, REGION, RunningBroker } from '../fixtures/kms/running-broker.ts'

let broker: RunningBroker
let store: Store
let recipients: RecipientVerifier
let keyId = ''
const principal = [...parseCredentials(principals()).keys.values()][0]?.principal

beforeAll(async () => {
  broker = await RunningBroker.start()
  await broker.stop()
  store = Store.open(broker.store, { keyFile: broker.path('master.key') })
  const policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' }],
  })
  keyId = newKey(policy)
  const platform = await Platform.make()
  recipients = new RecipientVerifier({ roots: [platform.root], maxAgeMs: 1000 })
})
afterAll(async () => {
  store[Symbol.dispose]()
  await broker[Symbol.asyncDispose]()
})

/** A symmetric key that everybody may use. */
function newKey(policy: string): string {
  const kind = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin: 'AWS_KMS' } as const
  const key = store.keys.create({ description: '', policy, publicKey: null, ...kind }, 0)
  const material = { keyId: key.id, number: 1, createdMs: 0, cause: 'CREATED' } as const
  store.materials.add(new Uint8Array(32), material)
  store.keys.put({ ...key, material: 1 })
  return key.id
}

/** Names that operations know, and values that are right now and then. */
const FIELDS = [
  ...['KeyId', 'Policy', 'PolicyName', 'Description', 'Plaintext', 'CiphertextBlob', 'Limit'],
  ...[
    'Marker',
    'AliasName',
    'TargetKeyId',
    'EncryptionContext',
    'GrantTokens',
    'DryRun',
    'DryRunModifiers',
    'Tags',
  ],
  ...['KeySpec', 'NumberOfBytes', 'DestinationKeyId', 'SourceEncryptionContext', 'Recipient'],
  ...['KeyUsage', 'Origin', 'MultiRegion', 'EncryptionAlgorithm', '__proto__', 'constructor'],
  ...[
    'Message',
    'MessageType',
    'SigningAlgorithm',
    'Signature',
    'Mac',
    'MacAlgorithm',
    'PublicKey',
  ],
  ...[
    'GranteePrincipal',
    'Operations',
    'Constraints',
    'GrantId',
    'GrantToken',
    'RetiringPrincipal',
  ],
  ...['KeyAgreementAlgorithm', 'PendingWindowInDays', 'RotationPeriodInDays', 'IncludeKeyMaterial'],
]

test('every request is answered, or refused with one of AWS’s errors', async () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(
      'ECC_NIST_P256',
      'SIGN_VERIFY',
      'ECDSA_SHA_256',
      'HMAC_SHA_256',
      'ECDH',
      'DIGEST',
    ),
    fc.constantFrom('AES_256', 'default', 'alias/a', 'alias/aws/x', 'YQ==', 1, true, '{}', '*'),
    fc.constantFrom('arn:aws:kms:', 'arn:aws:kms:a:b:key/c', 'SYMMETRIC_DEFAULT').map(String),
    fc.record({ AttestationDocument: fc.base64String(), KeyEncryptionAlgorithm: fc.string() }),
    fc.subarray(['Decrypt', 'Encrypt', 'CreateGrant', 'Sign']),
    fc.constant('arn:aws:iam::111122223333:user/app'),
    fc.constant(null).map(() => keyId),
  )
  const body = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...FIELDS), value))
  const operations = [...OPERATIONS].filter(([name]) => !/KeyPair|ParametersForImport/.test(name))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...operations), body, async ([, operation], json) => {
      try {
        if (principal === undefined) throw new Error('no principal')
        const facts = {
          principal,
          nowMs: 0,
          region: REGION,
          sourceIp: '::1',
          userAgent: '',
          isSecure: false,
          roots: [],
        }
        const fields = new Fields(JSON.parse(JSON.stringify(json)))
        const recipient = operation.takesRecipient ? await recipients.verify(fields) : null
        const place = { region: REGION, account: ACCOUNT }
        const all = { ...facts, attestation: recipient?.attestation ?? null }
        const call = new Call({ store, place, fields, recipient, facts: all })
        const run = 'prepare' in operation ? await operation.prepare(call) : operation.run
        run(call)
      } catch (error) {
        expect((error as Error).name, String((error as Error).stack)).toBe('KmsError')
      }
    }),
    { numRuns: 1500 },
  )
})

test('a body that is not strict JSON is refused, though it is signed', async () => {
  const place = { region: REGION, account: ACCOUNT }
  const report = (fault: unknown): never => {
    throw fault
  }
  using upkeep = new Upkeep({ store, place, now: Date.now, report })
  const throttle = new Throttle(Infinity)
  const parts = { store, recipients, roots: [], place, now: Date.now, upkeep, throttle }
  const credentials = parseCredentials(principals())
  for (const body of [
    '',
    '{',
    '[]',
    '{"a":1,"a":2}',
    '{"a":{"b":1,"\\u0062":2}}',
    '['.repeat(100),
  ]) {
    const request = {
      ...(await signed({ body, atMs: Date.now() })),
      ...{
        target: 'TrentService.ListKeys',
        userAgent: '',
        sourceIp: '::1',
        isSecure: false,
        requestId: body,
      },
    }
    await expect(answerRequest(request, { ...parts, credentials }), body).rejects.toMatchObject({
      type: 'SerializationException',
    })
  }
})

test('a blob that was changed anywhere does not open', () => {
  const key = { keyId, number: 3, material: new Uint8Array(32).fill(7), context: { a: 'b' } }
  const blob = sealBlob(Buffer.from('secret'), key)
  expect(Buffer.from(openBlob(blob, key)).toString()).toBe('secret')
  const refused = (bytes: Uint8Array): void => {
    expect(() => openBlob(bytes, key)).toThrow(
      expect.objectContaining({ type: 'InvalidCiphertextException' }) as Error,
    )
  }
  for (let at = 0; at < blob.length; at++) {
    const changed = Uint8Array.from(blob)
    changed[at] = (changed[at] ?? 0) ^ 1
    refused(changed)
    refused(blob.subarray(0, at))
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), refused))
})
