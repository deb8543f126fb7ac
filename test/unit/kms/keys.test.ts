// Keys as AWS's SDK for JavaScript sees them: made, named, listed, disabled, and there after a restart.

import { randomBytes } from 'node:crypto'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  ListAliasesCommand,
  ListKeysCommand,
  UpdateAliasCommand,
  type CreateKeyCommandInput,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import { BrokerSuite, policyFor, refusalOf, text } from '../../fixtures/kms/broker-suite.ts'
import { ACCOUNT, REGION, RunningBroker } from '../../fixtures/kms/running-broker.ts'

const suite = new BrokerSuite()

describe('keys', () => {
  test('are made, described, listed in pages, disabled and enabled', async () => {
    const { KeyMetadata } = await suite
      .client('root')
      .send(new CreateKeyCommand({ Description: 'mine' }))
    expect(KeyMetadata).toMatchObject({
      Arn: `arn:aws:kms:${REGION}:${ACCOUNT}:key/${String(KeyMetadata?.KeyId)}`,
      ...{ AWSAccountId: ACCOUNT, Description: 'mine', Enabled: true, KeyState: 'Enabled' },
      ...{ KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT', Origin: 'AWS_KMS' },
    })
    expect(Date.now() - (KeyMetadata?.CreationDate?.getTime() ?? 0)).toBeLessThan(60_000)
    const KeyId = KeyMetadata?.Arn
    await suite.client('root').send(new DisableKeyCommand({ KeyId }))
    const encrypt = new EncryptCommand({ KeyId, Plaintext: randomBytes(4) })
    expect(await refusalOf(suite.client('root').send(encrypt))).toBe('DisabledException')
    await suite.client('root').send(new EnableKeyCommand({ KeyId }))
    await suite.client('root').send(encrypt)
    await suite.newKey()
    const ids: string[] = []
    for (let Marker: string | undefined, more = true; more;) {
      const page = await suite.client('root').send(new ListKeysCommand({ Limit: 1, Marker }))
      ids.push(...(page.Keys ?? []).map((key) => key.KeyId ?? ''))
      more = page.Truncated === true
      Marker = page.NextMarker
    }
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toContain(KeyMetadata?.KeyId)
  })

  test('of kinds that are not there are refused in words', async () => {
    const kinds: CreateKeyCommandInput[] = [
      { KeySpec: 'SM2', KeyUsage: 'SIGN_VERIFY' },
      { KeySpec: 'ML_DSA_65', KeyUsage: 'SIGN_VERIFY' },
      { KeySpec: 'ECC_NIST_EDWARDS25519', KeyUsage: 'SIGN_VERIFY' },
      { MultiRegion: true },
      { Origin: 'AWS_CLOUDHSM' },
      { CustomKeyStoreId: 'cks-1' },
    ]
    for (const input of kinds) {
      const sent = suite.client('root').send(new CreateKeyCommand(input))
      expect(await refusalOf(sent)).toBe('UnsupportedOperationException')
    }
  })

  test('are named by id, ARN, alias and alias ARN; an unknown one is not found', async () => {
    const id = await suite.newKey()
    const AliasName = 'alias/team/one'
    await suite.client('root').send(new CreateAliasCommand({ AliasName, TargetKeyId: id }))
    const arn = `arn:aws:kms:${REGION}:${ACCOUNT}:`
    for (const KeyId of [id, `${arn}key/${id}`, AliasName, `${arn}${AliasName}`]) {
      const { KeyMetadata } = await suite.client('root').send(new DescribeKeyCommand({ KeyId }))
      expect(KeyMetadata?.KeyId).toBe(id)
    }
    const twice = new CreateAliasCommand({ AliasName, TargetKeyId: id })
    expect(await refusalOf(suite.client('root').send(twice))).toBe('AlreadyExistsException')
    const next = await suite.newKey()
    await suite.client('root').send(new UpdateAliasCommand({ AliasName, TargetKeyId: next }))
    const { Aliases } = await suite.client('root').send(new ListAliasesCommand({ KeyId: next }))
    expect(Aliases).toMatchObject([{ AliasName, TargetKeyId: next }])
    await suite.client('root').send(new DeleteAliasCommand({ AliasName }))
    for (const KeyId of [AliasName, 'no-such-key', `${arn}key/${id.replace(/./g, '0')}`]) {
      const sent = suite.client('root').send(new DescribeKeyCommand({ KeyId }))
      expect(await refusalOf(sent), KeyId).toBe('NotFoundException')
    }
    const elsewhere = new DescribeKeyCommand({
      KeyId: `arn:aws:kms:us-east-1:${ACCOUNT}:key/${id}`,
    })
    expect(await refusalOf(suite.client('root').send(elsewhere))).toBe('InvalidArnException')
  })

  test('have at most 50 names', async () => {
    const [full, next] = [await suite.newKey(), await suite.newKey()]
    const name = (count: number) => `alias/many/${String(count)}`
    const create = (count: number) =>
      suite
        .client('root')
        .send(new CreateAliasCommand({ AliasName: name(count), TargetKeyId: full }))
    for (let count = 1; count <= 50; count++) await create(count)
    expect(await refusalOf(create(51))).toBe('LimitExceededException')
    const AliasName = 'alias/elsewhere'
    await suite.client('root').send(new CreateAliasCommand({ AliasName, TargetKeyId: next }))
    const lead = (from: string, TargetKeyId: string) =>
      suite.client('root').send(new UpdateAliasCommand({ AliasName: from, TargetKeyId }))
    expect(await refusalOf(lead(AliasName, full))).toBe('LimitExceededException')
    await lead(name(1), full)
    await lead(name(1), next)
    await lead(AliasName, full)
  })

  test('have no text that the store would cut or change', async () => {
    for (const Description of ['a\0b', 'a\ud800b']) {
      const sent = suite.client('root').send(new CreateKeyCommand({ Description }))
      expect(await refusalOf(sent)).toBe('ValidationException')
    }
    const Marker = Buffer.from('a\0b').toString('base64')
    const list = new ListKeysCommand({ Marker })
    expect(await refusalOf(suite.client('root').send(list))).toBe('InvalidMarkerException')
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
    const elsewhere = suite.client('root').send(new DecryptCommand({ CiphertextBlob }))
    expect(await refusalOf(elsewhere)).toBe('AccessDeniedException')
  })
})
