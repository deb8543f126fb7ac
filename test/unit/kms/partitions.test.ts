// Regions of other partitions: the ARNs of keys, aliases and default policies name the region's partition, and ARNs of any
// other are not of this broker's keys.

import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  GetKeyPolicyCommand,
  KMSClient,
  ListAliasesCommand,
} from '@aws-sdk/client-kms'
import { expect, test } from 'vitest'
import { refusalOf } from '../../fixtures/kms/broker-suite.ts'
import { ACCOUNT, keysOf, RunningBroker } from '../../fixtures/kms/running-broker.ts'

test.each([
  ['eu-central-1', 'aws'],
  ['cn-north-1', 'aws-cn'],
  ['us-gov-west-1', 'aws-us-gov'],
  ['us-iso-east-1', 'aws-iso'],
  ['us-isob-east-1', 'aws-iso-b'],
  ['eu-isoe-west-1', 'aws-iso-e'],
  ['us-isof-south-1', 'aws-iso-f'],
  ['eusc-de-east-1', 'aws-eusc'],
])('the keys of %s are in the partition %s', async (region, partition) => {
  await using broker = await RunningBroker.start({ region })
  const settings = { endpoint: broker.endpoint, credentials: keysOf('root') }
  const client = new KMSClient({ ...settings, region })
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  const { KeyId = '', Arn = '' } = KeyMetadata ?? {}
  expect(Arn).toBe(`arn:${partition}:kms:${region}:${ACCOUNT}:key/${KeyId}`)
  const { Policy } = await client.send(new GetKeyPolicyCommand({ KeyId }))
  expect(Policy).toContain(`"arn:${partition}:iam::${ACCOUNT}:root"`)
  await client.send(new CreateAliasCommand({ AliasName: 'alias/a', TargetKeyId: Arn }))
  const { Aliases } = await client.send(new ListAliasesCommand({}))
  expect(Aliases?.map(({ AliasArn }) => AliasArn)).toEqual([
    `arn:${partition}:kms:${region}:${ACCOUNT}:alias/a`,
  ])
  const describe = (arn: string) => client.send(new DescribeKeyCommand({ KeyId: arn }))
  await describe(Arn)
  const elsewhere = partition === 'aws' ? 'aws-cn' : 'aws'
  const other = Arn.replace(`arn:${partition}:`, `arn:${elsewhere}:`)
  expect(await refusalOf(describe(other))).toBe('InvalidArnException')
  client.destroy()
})
