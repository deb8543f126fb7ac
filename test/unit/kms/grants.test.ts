// Grants as AWS's SDK for JavaScript sees them.

import {
  CreateGrantCommand,
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  ListGrantsCommand,
  ListRetirableGrantsCommand,
  RetireGrantCommand,
  RevokeGrantCommand,
  SignCommand,
  type CreateGrantCommandInput,
} from '@aws-sdk/client-kms'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  BrokerSuite,
  measured,
  policyFor,
  refusalOf,
  text,
} from '../../fixtures/kms/broker-suite.ts'
import { ACCOUNT, ARNS, REGION, RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { tamper } from '../../fixtures/kms/store-file.ts'

const suite = new BrokerSuite()
const root = () => suite.client('root')
const other = () => suite.client('other')
let KeyId = ''

beforeEach(async () => {
  KeyId = await suite.newKey()
})

const grant = (input: Partial<CreateGrantCommandInput> = {}) =>
  root().send(
    new CreateGrantCommand({
      ...{ KeyId, GranteePrincipal: ARNS.other, Operations: ['Decrypt'], ...input },
    }),
  )
const seal = (EncryptionContext?: Record<string, string>) =>
  root().send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('granted'), EncryptionContext }))

describe('a grant', () => {
  test('lets its principal use the key at once, until it is revoked', async () => {
    const { CiphertextBlob } = await seal()
    const decrypt = (GrantTokens?: string[]) =>
      other().send(new DecryptCommand({ CiphertextBlob, GrantTokens }))
    expect(await refusalOf(decrypt())).toBe('AccessDeniedException')
    const { GrantId, GrantToken = '' } = await grant()
    expect(GrantId).toMatch(/^[0-9a-f]{64}$/)
    expect(text((await decrypt()).Plaintext)).toBe('granted')
    await decrypt([GrantToken])
    for (const wrong of ['token', GrantToken.replace(/.$/, 'x'), ''])
      expect(await refusalOf(decrypt([wrong]))).toMatch(/^(InvalidGrantToken|Validation)Exception$/)
    const encrypt = new EncryptCommand({ KeyId, Plaintext: Buffer.from('x') })
    expect(await refusalOf(other().send(encrypt))).toBe('AccessDeniedException')
    const revoke = (DryRun = false) =>
      root().send(new RevokeGrantCommand({ KeyId, GrantId, DryRun }))
    expect(await refusalOf(revoke(true))).toBe('DryRunOperationException')
    await revoke()
    expect(await refusalOf(decrypt())).toBe('AccessDeniedException')
    expect(await refusalOf(revoke())).toBe('NotFoundException')
  })

  test('is bound to an encryption context', async () => {
    await grant({ Constraints: { EncryptionContextSubset: { tenant: 'a' } } })
    const open = async (context: Record<string, string>) => {
      const { CiphertextBlob } = await seal(context)
      return other().send(new DecryptCommand({ CiphertextBlob, EncryptionContext: context }))
    }
    await open({ tenant: 'a', more: 'b' })
    expect(await refusalOf(open({ tenant: 'b' }))).toBe('AccessDeniedException')
    await grant({
      Constraints: { EncryptionContextEquals: { tenant: 'b' } },
    })
    await open({ tenant: 'b' })
    expect(await refusalOf(open({ tenant: 'b', more: 'b' }))).toBe('AccessDeniedException')
  })

  test('does not ask for a document, but a Deny in the policy does', async () => {
    const { CiphertextBlob } = await seal()
    await grant({ Operations: ['Decrypt', 'GenerateDataKey'] })
    await other().send(new DecryptCommand({ CiphertextBlob }))
    const condition = { StringNotEqualsIgnoreCase: measured.StringEqualsIgnoreCase }
    const policy = JSON.parse(policyFor()) as { Statement: object[] }
    policy.Statement.push({
      ...{ Sid: 'Gate', Effect: 'Deny', Principal: '*', Action: 'kms:GenerateDataKey' },
      ...{ Resource: '*', Condition: condition },
    })
    KeyId = await suite.newKey(JSON.stringify(policy))
    await grant({ Operations: ['GenerateDataKey'] })
    const generate = (Recipient?: Awaited<ReturnType<typeof suite.recipient>>) =>
      other().send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', Recipient }))
    await expect(generate()).rejects.toThrow(/explicit deny in a resource-based policy/)
    await generate(await suite.recipient())
  })

  test('is passed on by its principal, if it says so, and no wider', async () => {
    await grant({
      ...{ Operations: ['CreateGrant', 'Decrypt', 'DescribeKey'] },
      Constraints: { EncryptionContextSubset: { tenant: 'a' } },
    })
    const pass = (input: Partial<CreateGrantCommandInput>) =>
      other().send(
        new CreateGrantCommand({
          ...{ KeyId, GranteePrincipal: ARNS.app, Operations: ['Decrypt'], ...input },
        }),
      )
    const Constraints = { EncryptionContextSubset: { tenant: 'a', more: 'b' } }
    await pass({ Constraints })
    await pass({ Constraints: { EncryptionContextEquals: { tenant: 'a' } } })
    for (const wider of [
      {},
      { Constraints, Operations: ['Decrypt', 'Encrypt'] },
      { Constraints: { EncryptionContextSubset: { tenant: 'b' } } },
      { Constraints: { EncryptionContextSubset: { more: 'b' } } },
    ] as Partial<CreateGrantCommandInput>[])
      expect(await refusalOf(pass(wider))).toBe('AccessDeniedException')
  })

  test('is the same one when its name and all else are repeated', async () => {
    const first = await grant({ Name: 'mine' })
    const again = await grant({ Name: 'mine' })
    expect(again.GrantId).toBe(first.GrantId)
    expect(again.GrantToken).not.toBe(first.GrantToken)
    expect((await grant({ Name: 'mine', Operations: ['Encrypt'] })).GrantId).not.toBe(first.GrantId)
    expect((await grant()).GrantId).not.toBe((await grant()).GrantId)
  })

  test('must be of operations that the key has, for somebody, on an enabled key', async () => {
    const wrong: [Partial<CreateGrantCommandInput>, string][] = [
      [{ Operations: ['Sign'] }, 'ValidationException'],
      [{ Operations: [] }, 'ValidationException'],
      [{ Operations: ['PutKeyPolicy' as 'Sign'] }, 'ValidationException'],
      [{ GranteePrincipal: 'somebody' }, 'InvalidArnException'],
      [{ Name: 'a b' }, 'ValidationException'],
      [
        {
          Constraints: {
            ...{ EncryptionContextEquals: { a: 'b' }, EncryptionContextSubset: { a: 'b' } },
          },
        },
        'ValidationException',
      ],
      [{ DryRun: true }, 'DryRunOperationException'],
    ]
    for (const [input, name] of wrong) expect(await refusalOf(grant(input))).toBe(name)
    await root().send(new DisableKeyCommand({ KeyId }))
    expect(await refusalOf(grant())).toBe('DisabledException')
    KeyId = await suite.newKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
    await grant({ Operations: ['Sign', 'GetPublicKey'] })
    const input = { KeyId, Message: Buffer.from('x'), SigningAlgorithm: 'ECDSA_SHA_256' } as const
    await other().send(new SignCommand(input))
    const Constraints = { EncryptionContextEquals: { a: 'b' } }
    const bound = grant({ Operations: ['Sign'], Constraints })
    expect(await refusalOf(bound)).toBe('ValidationException')
  })

  test('is made by who may, within what a condition on grants allows', async () => {
    const limit = { 'ForAllValues:StringEquals': { 'kms:GrantOperations': ['Encrypt'] } }
    KeyId = await suite.newKey(policyFor(limit, 'kms:CreateGrant'))
    const byApp = (Operations: CreateGrantCommandInput['Operations']) =>
      suite
        .client('app')
        .send(new CreateGrantCommand({ KeyId, GranteePrincipal: ARNS.other, Operations }))
    await byApp(['Encrypt'])
    expect(await refusalOf(byApp(['Encrypt', 'Decrypt']))).toBe('AccessDeniedException')
  })
})

describe('grants are listed', () => {
  test('by key in pages, by grantee, and by id', async () => {
    const made: (string | undefined)[] = []
    for (let count = 0; count < 5; count++)
      made.push((await grant({ Name: `n${String(count)}` })).GrantId)
    await grant({
      GranteePrincipal: ARNS.app,
      RetiringPrincipal: ARNS.other,
      Operations: ['Encrypt'],
    })
    const found: string[] = []
    for (let Marker: string | undefined, more = true; more;) {
      const page = await root().send(new ListGrantsCommand({ KeyId, Limit: 2, Marker }))
      found.push(...(page.Grants ?? []).map((one) => one.GrantId ?? ''))
      more = page.Truncated === true
      Marker = page.NextMarker
    }
    expect(found.length).toBe(6)
    expect(new Set(found)).toEqual(new Set([...made, ...found]))
    const ofApp = await root().send(new ListGrantsCommand({ KeyId, GranteePrincipal: ARNS.app }))
    expect(ofApp.Grants).toMatchObject([
      {
        KeyId: `arn:aws:kms:${REGION}:${ACCOUNT}:key/${KeyId}`,
        ...{ GranteePrincipal: ARNS.app, RetiringPrincipal: ARNS.other, Operations: ['Encrypt'] },
        IssuingAccount: ARNS.root,
      },
    ])
    const GrantId = made[2]
    const one = await root().send(new ListGrantsCommand({ KeyId, GrantId }))
    expect(one.Grants).toMatchObject([{ GrantId, Name: 'n2' }])
    for (const [id, name] of [
      ['x', 'InvalidGrantIdException'],
      ['0'.repeat(64), 'NotFoundException'],
    ] as const) {
      const sent = root().send(new ListGrantsCommand({ KeyId, GrantId: id }))
      expect(await refusalOf(sent)).toBe(name)
    }
    expect(await refusalOf(other().send(new ListGrantsCommand({ KeyId })))).toBe(
      'AccessDeniedException',
    )
  })

  test('by who may retire them', async () => {
    const { GrantId } = await grant({ RetiringPrincipal: ARNS.app })
    const list = new ListRetirableGrantsCommand({ RetiringPrincipal: ARNS.app })
    const { Grants } = await root().send(list)
    expect(Grants?.map((one) => one.GrantId)).toContain(GrantId)
    expect(await refusalOf(other().send(list))).toBe('AccessDeniedException')
  })
})

describe('a grant is retired', () => {
  const retire = (user: 'root' | 'app' | 'other', input: object) =>
    suite.client(user).send(new RetireGrantCommand(input))

  test('by who is named for it, by its grantee where it says so, and by the account', async () => {
    const named = await grant({ RetiringPrincipal: ARNS.other, GranteePrincipal: ARNS.other })
    await retire('other', { GrantToken: named.GrantToken })
    const own = await grant({ Operations: ['RetireGrant', 'Decrypt'] })
    await retire('other', { KeyId, GrantId: own.GrantId })
    const plain = await grant()
    expect(await refusalOf(retire('other', { GrantToken: plain.GrantToken }))).toBe(
      'AccessDeniedException',
    )
    await retire('root', { GrantToken: plain.GrantToken })
    for (const [input, name] of [
      [{ GrantToken: plain.GrantToken }, 'NotFoundException'],
      [{ GrantToken: 'noise' }, 'InvalidGrantTokenException'],
      [{ KeyId }, 'ValidationException'],
      [{}, 'ValidationException'],
    ] as const)
      expect(await refusalOf(retire('root', input))).toBe(name)
    expect((await root().send(new ListGrantsCommand({ KeyId }))).Grants).toEqual([])
  })
})

test('a key has 500 grants at most, and its use stays as it was', async () => {
  for (let count = 0; count < 500; count++) await grant()
  expect(await refusalOf(grant())).toBe('LimitExceededException')
  const { CiphertextBlob } = await seal()
  await other().send(new DecryptCommand({ CiphertextBlob }))
})

test('grants are kept over a restart, and one that another program changed is noticed', async () => {
  await using broker = await RunningBroker.start()
  const first = broker.client('root')
  const { KeyMetadata } = await first.send(new CreateKeyCommand({ Policy: policyFor() }))
  const id = KeyMetadata?.KeyId
  await first.send(
    new CreateGrantCommand({
      ...{ KeyId: id, GranteePrincipal: ARNS.other, Operations: ['DescribeKey'] },
    }),
  )
  first.destroy()
  await broker.restart()
  const second = broker.client('other')
  await second.send(new DescribeKeyCommand({ KeyId: id }))
  second.destroy()
  await broker.stop()
  tamper(broker.path('store/kms.db'), "UPDATE grants SET operations = 'Decrypt DescribeKey'")
  await broker.restart()
  const third = broker.client('other')
  const sent = third.send(new DescribeKeyCommand({ KeyId: id }))
  expect(await refusalOf(sent)).toBe('KMSInternalException')
  third.destroy()
  expect(broker.faults).toMatchObject([{ code: 'ERR_KMS_STORE' }])
})
