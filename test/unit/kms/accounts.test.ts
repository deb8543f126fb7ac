// Principals of another account: they may use the keys that name them, and nothing else of this account.

import {
  CreateAliasCommand,
  CreateGrantCommand,
  CreateKeyCommand,
  EncryptCommand,
  GenerateRandomCommand,
  KMSClient,
  ListAliasesCommand,
  ListKeysCommand,
  RetireGrantCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { policyFor, refusalOf } from '../../fixtures/kms/broker-suite.ts'
import { ARNS, principals, REGION, RunningBroker } from '../../fixtures/kms/running-broker.ts'

const STRANGER = 'arn:aws:iam::444455556666:user/app'
const credentials = { accessKeyId: 'AKIASTRANGER00000000', secretAccessKey: 's'.repeat(40) }
let broker: RunningBroker
let stranger: KMSClient
let keyId = ''

beforeAll(async () => {
  const everything = { Effect: 'Allow', Action: 'kms:*', Resource: '*' }
  const { principals: list } = principals() as { principals: object[] }
  const policies = [{ Version: '2012-10-17', Statement: [everything] }]
  const foreign = { arn: STRANGER, accessKeys: [credentials], policies }
  broker = await RunningBroker.start({
    principals: { version: 1, principals: [...list, foreign] },
  })
  stranger = new KMSClient({ endpoint: broker.endpoint, region: REGION, credentials })
  const root = broker.client('root')
  const Policy = policyFor().replaceAll(ARNS.app, STRANGER)
  const { KeyMetadata } = await root.send(new CreateKeyCommand({ Policy }))
  keyId = KeyMetadata?.Arn ?? ''
  root.destroy()
})
afterAll(async () => {
  stranger.destroy()
  await broker[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})

test('a key that names a principal of another account can be used by it', async () => {
  await stranger.send(new EncryptCommand({ KeyId: keyId, Plaintext: Buffer.from('x') }))
  await stranger.send(new GenerateRandomCommand({ NumberOfBytes: 8 }))
})

test('nothing of this account is made, listed or retired for it', async () => {
  const alias = { AliasName: 'alias/foreign', TargetKeyId: keyId }
  const sent: readonly Promise<unknown>[] = [
    stranger.send(new CreateKeyCommand({})),
    stranger.send(new ListKeysCommand({})),
    stranger.send(new ListAliasesCommand({})),
    stranger.send(new CreateAliasCommand(alias)),
  ]
  for (const one of sent) expect(await refusalOf(one)).toBe('AccessDeniedException')
  await expect(sent[0]).rejects.toThrow(
    "because the principal is of another account than the broker's",
  )
  const root = broker.client('root')
  const grant = { KeyId: keyId, GranteePrincipal: ARNS.other, Operations: ['Decrypt'] as const }
  const { GrantId } = await root.send(new CreateGrantCommand({ ...grant, Operations: ['Decrypt'] }))
  const closed = await root.send(
    new CreateKeyCommand({ Policy: policyFor().replaceAll(ARNS.app, ARNS.other) }),
  )
  const other = { KeyId: closed.KeyMetadata?.Arn, GranteePrincipal: ARNS.other }
  const made = await root.send(new CreateGrantCommand({ ...other, Operations: ['Decrypt'] }))
  const retire = (KeyId: string | undefined, id: string | undefined) =>
    stranger.send(new RetireGrantCommand({ KeyId, GrantId: id }))
  expect(await refusalOf(retire(other.KeyId, made.GrantId))).toBe('AccessDeniedException')
  await retire(keyId, GrantId)
  root.destroy()
})
