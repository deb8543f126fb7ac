// Tags of keys, and what policies make of them.

import {
  CreateKeyCommand,
  EncryptCommand,
  ListResourceTagsCommand,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  type Tag,
} from '@aws-sdk/client-kms'
import { expect, test } from 'vitest'
import { BrokerSuite, policyFor, refusalOf } from '../../fixtures/kms/broker-suite.ts'
import { ARNS, keysOf, RunningBroker } from '../../fixtures/kms/running-broker.ts'

const suite = new BrokerSuite()
const root = (): ReturnType<BrokerSuite['client']> => suite.client('root')
const app = (): ReturnType<BrokerSuite['client']> => suite.client('app')

const tag = (TagKey: string, TagValue: string): Tag => ({ TagKey, TagValue })

async function tagsOf(KeyId: string): Promise<readonly Tag[]> {
  const { Tags = [] } = await root().send(new ListResourceTagsCommand({ KeyId }))
  return Tags
}

test('are given with a key or later, replaced, listed in pages and removed', async () => {
  const KeyId = await suite.newKey({ Tags: [tag('stage', 'prod'), tag('team', '')] })
  await root().send(
    new TagResourceCommand({ KeyId, Tags: [tag('stage', 'test'), tag('a', 'b c')] }),
  )
  expect(await tagsOf(KeyId)).toEqual([tag('a', 'b c'), tag('stage', 'test'), tag('team', '')])
  const first = await root().send(new ListResourceTagsCommand({ KeyId, Limit: 2 }))
  expect(first).toMatchObject({ Truncated: true, Tags: [{ TagKey: 'a' }, { TagKey: 'stage' }] })
  const Marker = first.NextMarker
  const rest = await root().send(new ListResourceTagsCommand({ KeyId, Marker }))
  expect(rest).toMatchObject({ Truncated: false, Tags: [tag('team', '')] })
  await root().send(new UntagResourceCommand({ KeyId, TagKeys: ['stage', 'unknown'] }))
  expect(await tagsOf(KeyId)).toEqual([tag('a', 'b c'), tag('team', '')])
})

test('are within AWS’s bounds', async () => {
  const KeyId = await suite.newKey()
  const many = Array.from({ length: 51 }, (_, count) => tag(`tag-${String(count)}`, ''))
  const wrong: readonly [string, Tag[]][] = [
    ['TagException', [tag('aws:mine', 'x')]],
    ['TagException', [tag('a', 'x'), tag('a', 'y')]],
    ['TagException', [tag('a', 'x'), tag('A', 'y')]],
    ['TagException', [tag('a;b', 'x')]],
    ['ValidationException', [tag('a'.repeat(129), 'x')]],
    ['ValidationException', [tag('a', 'x'.repeat(257))]],
    ['LimitExceededException', many],
  ]
  for (const [name, Tags] of wrong) {
    expect(await refusalOf(root().send(new TagResourceCommand({ KeyId, Tags })))).toBe(name)
    expect(await refusalOf(root().send(new CreateKeyCommand({ Tags })))).toBe(name)
  }
  await root().send(new TagResourceCommand({ KeyId, Tags: many.slice(0, 50) }))
  const oneMore = new TagResourceCommand({ KeyId, Tags: many.slice(50) })
  expect(await refusalOf(root().send(oneMore))).toBe('LimitExceededException')
  await root().send(new ScheduleKeyDeletionCommand({ KeyId }))
  const late = new UntagResourceCommand({ KeyId, TagKeys: ['tag-1'] })
  expect(await refusalOf(root().send(late))).toBe('KMSInvalidStateException')
  expect(await tagsOf(KeyId)).toHaveLength(50)
})

test('a policy can require a tag of the key, and restrict which tags a request sets', async () => {
  const KeyId = await suite.newKey({
    Policy: policyFor({ StringEquals: { 'aws:ResourceTag/Stage': 'prod' } }, 'kms:Encrypt'),
  })
  const encrypt = (): Promise<unknown> =>
    app().send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('x') }))
  expect(await refusalOf(encrypt())).toBe('AccessDeniedException')
  await root().send(new TagResourceCommand({ KeyId, Tags: [tag('stage', 'prod')] }))
  await encrypt()
  await root().send(new UntagResourceCommand({ KeyId, TagKeys: ['stage'] }))
  expect(await refusalOf(encrypt())).toBe('AccessDeniedException')
  const onlyTeam = {
    StringEquals: { 'aws:RequestTag/team': 'red' },
    'ForAllValues:StringEquals': { 'aws:TagKeys': ['team'] },
  }
  const Policy = policyFor(onlyTeam, 'kms:TagResource')
  await root().send(new PutKeyPolicyCommand({ KeyId, Policy }))
  const tagAs = (...Tags: Tag[]): Promise<unknown> =>
    app().send(new TagResourceCommand({ KeyId, Tags }))
  await tagAs(tag('team', 'red'))
  for (const Tags of [[tag('team', 'blue')], [tag('team', 'red'), tag('stage', 'prod')]])
    expect(await refusalOf(tagAs(...Tags))).toBe('AccessDeniedException')
})

test('a key can be created with tags only by a principal that may tag, whatever else it may', async () => {
  await using broker = await RunningBroker.start({ principals: mayCreate() })
  const client = broker.client('other')
  const create = (Tags: Tag[]): Promise<unknown> =>
    client.send(new CreateKeyCommand({ Tags, BypassPolicyLockoutSafetyCheck: true }))
  await create([])
  await create([tag('team', 'red')])
  expect(await refusalOf(create([tag('team', 'blue')]))).toBe('AccessDeniedException')
  client.destroy()
})

/** `other` may create keys, and tag them as red. */
function mayCreate(): object {
  const red = { StringEquals: { 'aws:RequestTag/team': 'red' } }
  const Statement = [
    { Effect: 'Allow', Action: 'kms:CreateKey', Resource: '*' },
    { Effect: 'Allow', Action: 'kms:TagResource', Resource: '*', Condition: red },
  ]
  const policies = [{ Version: '2012-10-17', Statement }]
  const other = { arn: ARNS.other, accessKeys: [keysOf('other')], policies }
  return { version: 1, principals: [other] }
}
