// The broker as AWS's SDK for JavaScript sees it: keys, names, policies, encryption, and documents.

import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateRandomCommand,
  GetKeyPolicyCommand,
  ListAliasesCommand,
  ListKeyPoliciesCommand,
  ListKeysCommand,
  PutKeyPolicyCommand,
  ReEncryptCommand,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
  type CreateKeyCommandInput,
  type KMSClient,
  type RecipientInfo,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openCms } from '../../fixtures/kms/open-cms.ts'
import { Platform, rsaPair, type RsaPair } from '../../fixtures/kms/platform.ts'
import { ACCOUNT, ARNS, REGION, RunningBroker } from '../../fixtures/kms/running-broker.ts'

let broker: RunningBroker
let platform: Platform
let stranger: Platform
let rsa: RsaPair
let [root, app, other]: KMSClient[] = []

beforeAll(async () => {
  ;[platform, stranger] = [await Platform.make(), await Platform.make()]
  broker = await RunningBroker.start({ roots: [platform.root] })
  ;[root, app, other] = [broker.client('root'), broker.client('app'), broker.client('other')]
  rsa = rsaPair()
})

afterAll(async () => {
  for (const client of [root, app, other]) client?.destroy()
  await broker[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})

const client = (name: 'root' | 'app' | 'other'): KMSClient => {
  const found = { root, app, other }[name]
  if (found === undefined) throw new Error('the broker has not started')
  return found
}

const IMAGE = 'kms:RecipientAttestation:ImageSha384'
const hexOfPcr = (pcr: number): string => Buffer.alloc(48, pcr + 1).toString('hex')
const measured = { StringEqualsIgnoreCase: { [IMAGE]: hexOfPcr(0) } }

/** The root user administers, `app` uses the key under these conditions. */
const policyFor = (Condition: object = {}, Action: unknown = 'kms:*'): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'Admin',
        Effect: 'Allow',
        Principal: { AWS: ARNS.root },
        Action: 'kms:*',
        Resource: '*',
      },
      {
        Sid: 'App',
        Effect: 'Allow',
        Principal: { AWS: ARNS.app },
        Action,
        Resource: '*',
        Condition,
      },
    ],
  })

async function newKey(policy = policyFor()): Promise<string> {
  const { KeyMetadata } = await client('root').send(new CreateKeyCommand({ Policy: policy }))
  return KeyMetadata?.KeyId ?? ''
}

/** What the SDK throws: AWS's name, the status and a request id. */
async function refusalOf(sent: Promise<unknown>): Promise<string> {
  const error = await sent.then(
    () => new Error('nothing was refused'),
    (thrown: unknown) => thrown as Error & { $metadata?: Record<string, unknown> },
  )
  const metadata = '$metadata' in error ? error.$metadata : undefined
  expect(metadata?.['requestId'], error.message).toMatch(/^[0-9a-f-]{36}$/)
  expect(error.message).not.toBe('')
  return error.name
}

async function recipient(
  document?: Uint8Array,
  changes: Parameters<Platform['document']>[1] = {},
): Promise<RecipientInfo> {
  return {
    KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
    AttestationDocument: document ?? (await platform.document(rsa.spki, changes)),
  }
}

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
const open = (cms: Uint8Array | undefined): Buffer =>
  openCms(cms ?? new Uint8Array(), rsa.privateKey)

describe('keys', () => {
  test('are made, described, listed in pages, disabled and enabled', async () => {
    const { KeyMetadata } = await client('root').send(new CreateKeyCommand({ Description: 'mine' }))
    expect(KeyMetadata).toMatchObject({
      Arn: `arn:aws:kms:${REGION}:${ACCOUNT}:key/${String(KeyMetadata?.KeyId)}`,
      ...{ AWSAccountId: ACCOUNT, Description: 'mine', Enabled: true, KeyState: 'Enabled' },
      ...{ KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT', Origin: 'AWS_KMS' },
    })
    expect(Date.now() - (KeyMetadata?.CreationDate?.getTime() ?? 0)).toBeLessThan(60_000)
    const KeyId = KeyMetadata?.Arn
    await client('root').send(new DisableKeyCommand({ KeyId }))
    const encrypt = new EncryptCommand({ KeyId, Plaintext: randomBytes(4) })
    expect(await refusalOf(client('root').send(encrypt))).toBe('DisabledException')
    await client('root').send(new EnableKeyCommand({ KeyId }))
    await client('root').send(encrypt)
    await newKey()
    const ids: string[] = []
    for (let Marker: string | undefined, more = true; more;) {
      const page = await client('root').send(new ListKeysCommand({ Limit: 1, Marker }))
      ids.push(...(page.Keys ?? []).map((key) => key.KeyId ?? ''))
      more = page.Truncated === true
      Marker = page.NextMarker
    }
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toContain(KeyMetadata?.KeyId)
  })

  test('of kinds that are not there are refused in words', async () => {
    const kinds: CreateKeyCommandInput[] = [
      { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' },
      { MultiRegion: true },
      { Origin: 'EXTERNAL' },
      { CustomKeyStoreId: 'cks-1' },
      { Tags: [{ TagKey: 'a', TagValue: 'b' }] },
    ]
    for (const input of kinds) {
      const sent = client('root').send(new CreateKeyCommand(input))
      expect(await refusalOf(sent)).toBe('UnsupportedOperationException')
    }
    const deletion = new ScheduleKeyDeletionCommand({ KeyId: await newKey() })
    expect(await refusalOf(client('root').send(deletion))).toBe('UnsupportedOperationException')
  })

  test('are named by id, ARN, alias and alias ARN; an unknown one is not found', async () => {
    const id = await newKey()
    const AliasName = 'alias/team/one'
    await client('root').send(new CreateAliasCommand({ AliasName, TargetKeyId: id }))
    const arn = `arn:aws:kms:${REGION}:${ACCOUNT}:`
    for (const KeyId of [id, `${arn}key/${id}`, AliasName, `${arn}${AliasName}`]) {
      const { KeyMetadata } = await client('root').send(new DescribeKeyCommand({ KeyId }))
      expect(KeyMetadata?.KeyId).toBe(id)
    }
    const twice = new CreateAliasCommand({ AliasName, TargetKeyId: id })
    expect(await refusalOf(client('root').send(twice))).toBe('AlreadyExistsException')
    const next = await newKey()
    await client('root').send(new UpdateAliasCommand({ AliasName, TargetKeyId: next }))
    const { Aliases } = await client('root').send(new ListAliasesCommand({ KeyId: next }))
    expect(Aliases).toMatchObject([{ AliasName, TargetKeyId: next }])
    await client('root').send(new DeleteAliasCommand({ AliasName }))
    for (const KeyId of [AliasName, 'no-such-key', `${arn}key/${id.replace(/./g, '0')}`]) {
      const sent = client('root').send(new DescribeKeyCommand({ KeyId }))
      expect(await refusalOf(sent), KeyId).toBe('NotFoundException')
    }
    const elsewhere = new DescribeKeyCommand({
      KeyId: `arn:aws:kms:us-east-1:${ACCOUNT}:key/${id}`,
    })
    expect(await refusalOf(client('root').send(elsewhere))).toBe('InvalidArnException')
  })

  test('have at most 50 names', async () => {
    const [full, next] = [await newKey(), await newKey()]
    const name = (count: number) => `alias/many/${String(count)}`
    const create = (count: number) =>
      client('root').send(new CreateAliasCommand({ AliasName: name(count), TargetKeyId: full }))
    for (let count = 1; count <= 50; count++) await create(count)
    expect(await refusalOf(create(51))).toBe('LimitExceededException')
    const AliasName = 'alias/elsewhere'
    await client('root').send(new CreateAliasCommand({ AliasName, TargetKeyId: next }))
    const lead = (from: string, TargetKeyId: string) =>
      client('root').send(new UpdateAliasCommand({ AliasName: from, TargetKeyId }))
    expect(await refusalOf(lead(AliasName, full))).toBe('LimitExceededException')
    await lead(name(1), full)
    await lead(name(1), next)
    await lead(AliasName, full)
  })

  test('have no text that the store would cut or change', async () => {
    for (const Description of ['a\0b', 'a\ud800b']) {
      const sent = client('root').send(new CreateKeyCommand({ Description }))
      expect(await refusalOf(sent)).toBe('ValidationException')
    }
    const Marker = Buffer.from('a\0b').toString('base64')
    const list = new ListKeysCommand({ Marker })
    expect(await refusalOf(client('root').send(list))).toBe('InvalidMarkerException')
  })

  test('survive a restart, and no secret is in the files of the store', async () => {
    await using own = await RunningBroker.start()
    const Plaintext = Buffer.from('a very recognisable secret')
    const before = own.client('root')
    const { KeyMetadata } = await before.send(new CreateKeyCommand({ Policy: policyFor() }))
    const { CiphertextBlob } = await before.send(
      new EncryptCommand({ KeyId: KeyMetadata?.KeyId, Plaintext }),
    )
    const opened = await before.send(new DecryptCommand({ CiphertextBlob }))
    expect(text(opened.Plaintext)).toBe(Plaintext.toString())
    before.destroy()
    expect(own.storedBytes().includes(Plaintext)).toBe(false)
    await own.restart()
    const after = own.client('root')
    const again = await after.send(new DecryptCommand({ CiphertextBlob }))
    expect(text(again.Plaintext)).toBe(Plaintext.toString())
    after.destroy()
    const elsewhere = client('root').send(new DecryptCommand({ CiphertextBlob }))
    expect(await refusalOf(elsewhere)).toBe('AccessDeniedException')
  })
})

describe('policies', () => {
  test('are read, replaced and listed', async () => {
    const KeyId = await newKey()
    const { Policy } = await client('root').send(new GetKeyPolicyCommand({ KeyId }))
    expect(JSON.parse(Policy ?? '')).toEqual(JSON.parse(policyFor()))
    await client('root').send(new PutKeyPolicyCommand({ KeyId, Policy: policyFor(measured) }))
    const changed = await client('root').send(new GetKeyPolicyCommand({ KeyId }))
    expect(changed.Policy).toContain(IMAGE)
    const { PolicyNames } = await client('root').send(new ListKeyPoliciesCommand({ KeyId }))
    expect(PolicyNames).toEqual(['default'])
  })

  test('that are malformed, lock their author out, or cannot mean anything here are refused', async () => {
    const KeyId = await newKey()
    const put = (Policy: string, BypassPolicyLockoutSafetyCheck = false) =>
      client('root').send(
        new PutKeyPolicyCommand({ KeyId, Policy, BypassPolicyLockoutSafetyCheck }),
      )
    const twice = policyFor().replace('{', '{"Version":"2012-10-17",')
    for (const policy of ['{', '[]', twice, policyFor().replaceAll('Principal', 'Principals')])
      expect(await refusalOf(put(policy))).toBe('MalformedPolicyDocumentException')
    const locked = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Principal: { AWS: ARNS.app }, Action: 'kms:Decrypt', Resource: '*' },
      ],
    })
    expect(await refusalOf(put(locked))).toBe('MalformedPolicyDocumentException')
    const via = policyFor({ StringEquals: { 'kms:ViaService': 's3.eu-central-1.amazonaws.com' } })
    expect(await refusalOf(put(via))).toBe('UnsupportedOperationException')
    await put(locked, true)
    expect(await refusalOf(put(policyFor()))).toBe('AccessDeniedException')
    expect(await refusalOf(put(policyFor(), true))).toBe('AccessDeniedException')
  })

  test('hold for each principal, and what is not allowed is said in AWS’s words', async () => {
    const KeyId = await newKey()
    await client('app').send(new DescribeKeyCommand({ KeyId }))
    const sent = client('other').send(new DescribeKeyCommand({ KeyId }))
    await expect(sent).rejects.toThrow(
      `User: ${ARNS.other} is not authorized to perform: kms:DescribeKey on resource: arn:aws:kms:${REGION}:${ACCOUNT}:key/${KeyId} because no resource-based policy allows the kms:DescribeKey action`,
    )
    expect(await refusalOf(client('other').send(new CreateKeyCommand({})))).toBe(
      'AccessDeniedException',
    )
  })

  test('see the encryption context', async () => {
    const Condition = { StringEquals: { 'kms:EncryptionContext:stage': 'prod' } }
    const KeyId = await newKey(policyFor(Condition))
    const encrypt = (EncryptionContext?: Record<string, string>) =>
      client('app').send(
        new EncryptCommand({ KeyId, Plaintext: randomBytes(8), EncryptionContext }),
      )
    await encrypt({ stage: 'prod' })
    expect(await refusalOf(encrypt({ stage: 'test' }))).toBe('AccessDeniedException')
    expect(await refusalOf(encrypt())).toBe('AccessDeniedException')
  })

  test.each([
    ['names that differ in case only', { stage: 'test', Stage: 'prod' }],
    ['names that are one in lower case behind the prefix', { stage: 'prod', Σ: 'a', ς: 'b' }],
    ['a lone surrogate in a name', { stage: 'prod', '\ud800': 'a' }],
    ['a lone surrogate in a value', { stage: 'prod', a: '\ud800' }],
  ])('see no encryption context with %s', async (_what, EncryptionContext) => {
    const Condition = { StringEquals: { 'kms:EncryptionContext:stage': 'prod' } }
    const KeyId = await newKey(policyFor(Condition))
    const input = { KeyId, Plaintext: randomBytes(8), EncryptionContext }
    const sent = client('app').send(new EncryptCommand(input))
    expect(await refusalOf(sent)).toBe('ValidationException')
  })
})

describe('encryption', () => {
  test('opens under its key and its context only', async () => {
    const [KeyId, wrongKey] = [await newKey(), await newKey()]
    const EncryptionContext = { b: 'two', a: 'one', ä: '' }
    const Plaintext = Buffer.from('secret')
    const { CiphertextBlob } = await client('app').send(
      new EncryptCommand({ KeyId, Plaintext, EncryptionContext }),
    )
    const decrypt = (input: object = {}) =>
      client('app').send(new DecryptCommand({ CiphertextBlob, EncryptionContext, ...input }))
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
    const [SourceKeyId, DestinationKeyId] = [await newKey(), await newKey()]
    const Plaintext = Buffer.from('moved')
    const { CiphertextBlob } = await client('app').send(
      new EncryptCommand({ KeyId: SourceKeyId, Plaintext, EncryptionContext: { v: '1' } }),
    )
    const input = {
      ...{ CiphertextBlob, DestinationKeyId, SourceEncryptionContext: { v: '1' } },
      DestinationEncryptionContext: { v: '2' },
    }
    const moved = await client('app').send(new ReEncryptCommand(input))
    expect(moved.SourceKeyId).toContain(SourceKeyId)
    const opened = await client('app').send(
      new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob, EncryptionContext: { v: '2' } }),
    )
    expect(text(opened.Plaintext)).toBe('moved')
    expect(opened.KeyId).toContain(DestinationKeyId)
    expect(await refusalOf(client('other').send(new ReEncryptCommand(input)))).toBe(
      'AccessDeniedException',
    )
  })

  test('gives data keys, pairs and random bytes of the sizes asked for', async () => {
    const KeyId = await newKey()
    for (const [input, size] of [
      [{ KeySpec: 'AES_256' }, 32],
      [{ KeySpec: 'AES_128' }, 16],
      [{ NumberOfBytes: 1024 }, 1024],
    ] as const) {
      const key = await client('app').send(new GenerateDataKeyCommand({ KeyId, ...input }))
      expect(key.Plaintext?.length).toBe(size)
      const opened = await client('app').send(
        new DecryptCommand({ CiphertextBlob: key.CiphertextBlob }),
      )
      expect(opened.Plaintext).toEqual(key.Plaintext)
    }
    const hidden = await client('app').send(
      new GenerateDataKeyWithoutPlaintextCommand({ KeyId, KeySpec: 'AES_256' }),
    )
    expect(hidden).not.toHaveProperty('Plaintext')
    for (const KeyPairSpec of ['RSA_2048', 'ECC_NIST_P256', 'ECC_SECG_P256K1'] as const) {
      const pair = await client('app').send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec }))
      const key = createPrivateKey({
        key: Buffer.from(pair.PrivateKeyPlaintext ?? []),
        format: 'der',
        type: 'pkcs8',
      })
      const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
      expect(spki.equals(pair.PublicKey ?? new Uint8Array())).toBe(true)
    }
    const blind = await client('app').send(
      new GenerateDataKeyPairWithoutPlaintextCommand({ KeyId, KeyPairSpec: 'ECC_NIST_P384' }),
    )
    expect(blind).not.toHaveProperty('PrivateKeyPlaintext')
    const { Plaintext } = await client('app').send(new GenerateRandomCommand({ NumberOfBytes: 77 }))
    expect(Plaintext?.length).toBe(77)
    const neither = client('app').send(new GenerateDataKeyCommand({ KeyId }))
    expect(await refusalOf(neither)).toBe('ValidationException')
    const sm2 = client('app').send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'SM2' }))
    expect(await refusalOf(sm2)).toBe('UnsupportedOperationException')
  })

  test('of a dry run is decided and not done', async () => {
    const KeyId = await newKey()
    const dry = { KeyId, Plaintext: randomBytes(4), DryRun: true }
    expect(await refusalOf(client('app').send(new EncryptCommand(dry)))).toBe(
      'DryRunOperationException',
    )
    expect(await refusalOf(client('other').send(new EncryptCommand(dry)))).toBe(
      'AccessDeniedException',
    )
    const granted = new EncryptCommand({ ...dry, DryRun: false, GrantTokens: ['token'] })
    expect(await refusalOf(client('app').send(granted))).toBe('InvalidGrantTokenException')
  })
})

describe('a document', () => {
  test('opens a key for its measurements, and the answer is for its key alone', async () => {
    const KeyId = await newKey(policyFor(measured, ['kms:Decrypt', 'kms:GenerateDataKey*']))
    const Plaintext = Buffer.from('for the enclave')
    const { CiphertextBlob } = await client('root').send(new EncryptCommand({ KeyId, Plaintext }))
    const decrypt = async (Recipient?: RecipientInfo) =>
      client('app').send(new DecryptCommand({ CiphertextBlob, Recipient }))
    const granted = await decrypt(await recipient())
    expect(granted.Plaintext).toBeUndefined()
    expect(open(granted.CiphertextForRecipient).toString()).toBe('for the enclave')
    expect(await refusalOf(decrypt())).toBe('AccessDeniedException')
    const pcrs = new Map(
      Array.from({ length: 16 }, (_, n) => [n, Buffer.alloc(48, n + 2)] as const),
    )
    const changed = await recipient(undefined, { pcrs })
    expect(await refusalOf(decrypt(changed))).toBe('AccessDeniedException')
    const sent = client('other').send(
      new DecryptCommand({ CiphertextBlob, Recipient: await recipient() }),
    )
    expect(await refusalOf(sent)).toBe('AccessDeniedException')
  })

  test('is answered by each operation that takes one, in place of the plain field', async () => {
    const KeyId = await newKey()
    const key = await client('app').send(
      new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', Recipient: await recipient() }),
    )
    expect(key.Plaintext).toBeUndefined()
    const opened = await client('app').send(
      new DecryptCommand({ CiphertextBlob: key.CiphertextBlob }),
    )
    expect(open(key.CiphertextForRecipient).equals(opened.Plaintext ?? new Uint8Array())).toBe(true)
    const pair = await client('app').send(
      new GenerateDataKeyPairCommand({
        ...{ KeyId, KeyPairSpec: 'RSA_2048', Recipient: await recipient() },
      }),
    )
    expect(pair.PrivateKeyPlaintext).toBeUndefined()
    createPrivateKey({ key: open(pair.CiphertextForRecipient), format: 'der', type: 'pkcs8' })
    const random = await client('app').send(
      new GenerateRandomCommand({ NumberOfBytes: 32, Recipient: await recipient() }),
    )
    expect(open(random.CiphertextForRecipient).length).toBe(32)
  })

  test('of an RSA-4096 key, and of a NitroTPM, is answered too', async () => {
    const { spki, privateKey } = rsaPair(4096)
    const Recipient = await recipient(await platform.document(spki))
    const { CiphertextForRecipient } = await client('app').send(
      new GenerateRandomCommand({ NumberOfBytes: 32, Recipient }),
    )
    expect(openCms(CiphertextForRecipient ?? new Uint8Array(), privateKey).length).toBe(32)
    const nitroTpmPcrs = new Map([
      [4, Buffer.alloc(48, 5)],
      [7, Buffer.alloc(48, 8)],
    ])
    const tpmDocument = { pcrs: undefined, nitrotpm_pcrs: nitroTpmPcrs }
    const tpm = { StringEquals: { 'kms:RecipientAttestation:NitroTPMPCR4': hexOfPcr(4) } }
    const key = await newKey(policyFor(tpm))
    const generate = async (keyId: string, Recipient: RecipientInfo) =>
      client('app').send(
        new GenerateDataKeyCommand({ KeyId: keyId, KeySpec: 'AES_256', Recipient }),
      )
    await generate(key, await recipient(undefined, tpmDocument))
    expect(await refusalOf(generate(key, await recipient()))).toBe('AccessDeniedException')
    const enclaveOnly = await newKey(policyFor(measured))
    const ofTpm = generate(enclaveOnly, await recipient(undefined, tpmDocument))
    expect(await refusalOf(ofTpm)).toBe('AccessDeniedException')
  })

  test('is refused when anything about it is wrong', async () => {
    const KeyId = await newKey()
    const zero = new Map(Array.from({ length: 16 }, (_, n) => [n, new Uint8Array(48)] as const))
    const good = Buffer.from(await platform.document(rsa.spki))
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const ecSpki = ec.publicKey.export({ type: 'spki', format: 'der' })
    const wrong: Readonly<Record<string, Uint8Array>> = {
      ERR_CHAIN_SIGNATURE: await stranger.document(rsa.spki),
      ERR_DOCUMENT_TOO_OLD: await platform.document(rsa.spki, { timestamp: Date.now() - 301_000 }),
      ERR_DOCUMENT_FROM_FUTURE: await platform.document(rsa.spki, {
        timestamp: Date.now() + 120_000,
      }),
      ERR_DEBUG_DOCUMENT: await platform.document(rsa.spki, { pcrs: zero }),
      ERR_COSE_SIGNATURE: flipped(good, -1),
      ERR_: randomBytes(64),
      'no public_key': await platform.document(null),
      'not a DER SubjectPublicKeyInfo': await platform.document(ecSpki),
      '2048, 3072 or 4096': await platform.document(rsaPair(1024).spki),
      'SubjectPublicKeyInfo of RSA': await platform.document(
        Buffer.concat([rsa.spki, Buffer.of(0)]),
      ),
    }
    for (const [words, document] of Object.entries(wrong)) {
      const sent = client('app').send(
        new GenerateDataKeyCommand({
          ...{ KeyId, KeySpec: 'AES_256', Recipient: await recipient(document) },
        }),
      )
      expect(await refusalOf(sent), words).toBe('ValidationException')
      await expect(sent, words).rejects.toThrow(words)
    }
    await using rootless = await RunningBroker.start()
    const sent = rootless
      .client('app')
      .send(new GenerateRandomCommand({ NumberOfBytes: 8, Recipient: await recipient() }))
    expect(await refusalOf(sent)).toBe('UnsupportedOperationException')
  })

  test('can be asked for its assurance in a condition', async () => {
    const soft = { StringEquals: { 'cloister:RecipientAttestation:Assurance': 'software-tpm' } }
    const hard = { StringEquals: { 'cloister:RecipientAttestation:Assurance': 'hardware-tpm' } }
    const generate = async (KeyId: string) =>
      client('app').send(
        new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', Recipient: await recipient() }),
      )
    await generate(await newKey(policyFor(soft)))
    expect(await refusalOf(generate(await newKey(policyFor(hard))))).toBe('AccessDeniedException')
  })
})

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes)
  const index = at < 0 ? bytes.length + at : at
  changed[index] = (changed[index] ?? 0) ^ 1
  return changed
}
