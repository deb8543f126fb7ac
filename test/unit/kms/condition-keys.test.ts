// What policies can ask about a principal and its request, as AWS's SDK sends it: each condition key with a value that holds
// and one that does not.

import { CreateKeyCommand, DescribeKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseCredentials } from '../../../src/kms/auth/credentials-file.ts'
import { refusalOf } from '../../fixtures/kms/broker-suite.ts'
import {
  ACCOUNT,
  ARNS,
  principals,
  REGION,
  RunningBroker,
} from '../../fixtures/kms/running-broker.ts'

const ROLE = `arn:aws:iam::${ACCOUNT}:role/service/enclave`
const SESSION = `arn:aws:sts::${ACCOUNT}:assumed-role/enclave/i-0123`
const sessionKeys = { accessKeyId: 'ASIASESSION000000000', secretAccessKey: 's'.repeat(40) }
let broker: RunningBroker
let session: KMSClient

const session1 = { arn: SESSION, role: ROLE, accessKeys: [sessionKeys] }

function people(): object {
  const { principals: list } = principals() as { principals: { arn: string }[] }
  const tagged = list.map((one) =>
    one.arn === ARNS.app ? { ...one, tags: { team: 'blue' } } : one,
  )
  return { version: 1, principals: [...tagged, session1] }
}

beforeAll(async () => {
  broker = await RunningBroker.start({ principals: people() })
  session = new KMSClient({ endpoint: broker.endpoint, region: REGION, credentials: sessionKeys })
})
afterAll(async () => {
  session.destroy()
  await broker[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})

type Row = readonly [key: string, operator: string, right: string, wrong: string]

async function describeKey(client: KMSClient, [key, operator]: Row, value: string) {
  const root = broker.client('root')
  const statement = (names: readonly string[], Condition: object) => ({
    ...{ Effect: 'Allow', Principal: { AWS: names }, Action: 'kms:*', Resource: '*', Condition },
  })
  const Statement = [
    statement([ARNS.root], {}),
    statement([ARNS.app, ROLE], { [operator]: { [key]: value } }),
  ]
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
  const { KeyMetadata } = await root.send(new CreateKeyCommand({ Policy }))
  root.destroy()
  return client.send(new DescribeKeyCommand({ KeyId: KeyMetadata?.KeyId }))
}

describe('a user', () => {
  test.each<Row>([
    ['aws:PrincipalArn', 'ArnEquals', ARNS.app, ARNS.other],
    ['aws:PrincipalAccount', 'StringEquals', ACCOUNT, '444455556666'],
    ['aws:PrincipalType', 'StringEquals', 'User', 'AssumedRole'],
    ['aws:PrincipalTag/team', 'StringEquals', 'blue', 'red'],
    ['aws:userid', 'StringEquals', 'app', 'other'],
    ['aws:username', 'StringEquals', 'app', 'other'],
    ['kms:CallerAccount', 'StringEquals', ACCOUNT, '444455556666'],
    ['aws:SourceIp', 'IpAddress', '127.0.0.0/8', '10.0.0.0/8'],
    ['aws:UserAgent', 'StringLike', 'aws-sdk-js/*', 'Boto3/*'],
    ['aws:CurrentTime', 'DateGreaterThan', '2020-01-01T00:00:00Z', '2999-01-01T00:00:00Z'],
    ['aws:EpochTime', 'DateLessThan', '2999-01-01T00:00:00Z', '2020-01-01T00:00:00Z'],
    ['aws:RequestedRegion', 'StringEquals', REGION, 'us-east-1'],
    ['aws:SecureTransport', 'Bool', 'false', 'true'],
    ['aws:ViaAWSService', 'Bool', 'false', 'true'],
  ])('is told apart by %s', async (...row) => {
    const client = broker.client('app')
    await describeKey(client, row, row[2])
    expect(await refusalOf(describeKey(client, row, row[3]))).toBe('AccessDeniedException')
    client.destroy()
  })
})

describe('a session of a role', () => {
  test.each<Row>([
    ['aws:PrincipalArn', 'ArnEquals', ROLE, ROLE.replace('service/', '')],
    ['aws:PrincipalType', 'StringEquals', 'AssumedRole', 'User'],
    ['aws:userid', 'StringEquals', 'enclave:i-0123', 'enclave'],
    ['aws:username', 'Null', 'true', 'false'],
  ])('is told apart by %s', async (...row) => {
    await describeKey(session, row, row[2])
    expect(await refusalOf(describeKey(session, row, row[3]))).toBe('AccessDeniedException')
  })

  test.each([
    ['another name', { role: ROLE.replace('enclave', 'other') }],
    ['another account', { role: ROLE.replace(ACCOUNT, '444455556666') }],
    ['a user', { role: ARNS.app }],
    ['no session', { arn: ARNS.app }],
  ])('is refused with the role of %s', (_what, change) => {
    const file = { version: 1, principals: [{ ...session1, ...change }] }
    expect(() => parseCredentials(file)).toThrow('the role is not that of the session')
  })
})

test('a principal has no policy with kms:ViaService: no AWS service calls this broker', () => {
  const Condition = { StringEquals: { 'kms:ViaService': 's3.eu-central-1.amazonaws.com' } }
  const Statement = { Effect: 'Allow', Action: 'kms:*', Resource: '*', Condition }
  const policies = [{ Version: '2012-10-17', Statement }]
  const file = { version: 1, principals: [{ ...session1, policies }] }
  expect(() => parseCredentials(file)).toThrow('kms:ViaService: no AWS service calls this broker')
})
