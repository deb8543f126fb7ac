// Key policies as AWS's SDK for JavaScript sees them.

import { randomBytes } from 'node:crypto'
import {
  CreateKeyCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GetKeyPolicyCommand,
  ListKeyPoliciesCommand,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, test } from 'vitest'
import {
  BrokerSuite,
  IMAGE,
  measured,
  policyFor,
  refusalOf,
} from '../../fixtures/kms/broker-suite.ts'
import { ACCOUNT, ARNS, REGION } from '../../fixtures/kms/running-broker.ts'

const suite = new BrokerSuite()

describe('policies', () => {
  test('are read, replaced and listed', async () => {
    const KeyId = await suite.newKey()
    const { Policy } = await suite.client('root').send(new GetKeyPolicyCommand({ KeyId }))
    expect(JSON.parse(Policy ?? '')).toEqual(JSON.parse(policyFor()))
    await suite.client('root').send(new PutKeyPolicyCommand({ KeyId, Policy: policyFor(measured) }))
    const changed = await suite.client('root').send(new GetKeyPolicyCommand({ KeyId }))
    expect(changed.Policy).toContain(IMAGE)
    const { PolicyNames } = await suite.client('root').send(new ListKeyPoliciesCommand({ KeyId }))
    expect(PolicyNames).toEqual(['default'])
  })

  test('that are malformed, lock their author out, or cannot mean anything here are refused', async () => {
    const KeyId = await suite.newKey()
    const put = (Policy: string, BypassPolicyLockoutSafetyCheck = false) =>
      suite
        .client('root')
        .send(new PutKeyPolicyCommand({ KeyId, Policy, BypassPolicyLockoutSafetyCheck }))
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

  test.each([
    ['the ARN of the key', (arn: string) => arn, {}],
    ['all keys of the account', (arn: string) => arn.replace(/[^/]*$/, '*'), {}],
    ['its use', () => '*', { StringEquals: { 'kms:KeyUsage': 'ENCRYPT_DECRYPT' } }],
    ['its tags', () => '*', { StringEquals: { 'aws:ResourceTag/team': 'a' } }],
    ['a check', () => '*', { Bool: { 'kms:BypassPolicyLockoutSafetyCheck': 'false' } }],
  ])('do not lock their author out by naming %s', async (_what, resourceOf, Condition) => {
    const arnOf = (id: string) => `arn:aws:kms:${REGION}:${ACCOUNT}:key/${id}`
    const policy = (id: string) =>
      JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            ...{ Effect: 'Allow', Principal: { AWS: ARNS.root }, Action: 'kms:*' },
            ...{ Resource: resourceOf(arnOf(id)), Condition },
          },
        ],
      })
    const Tags = [{ TagKey: 'team', TagValue: 'a' }]
    const KeyId = await suite.newKey({ Tags })
    const put = (Policy: string) =>
      suite.client('root').send(new PutKeyPolicyCommand({ KeyId, Policy }))
    await put(policy(KeyId))
    await put(policy(KeyId))
    await suite.newKey({ Tags, Policy: policy('*') })
  })

  test('that name another key lock their author out', async () => {
    const policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          ...{ Effect: 'Allow', Principal: { AWS: ARNS.root }, Action: 'kms:*' },
          Resource: `arn:aws:kms:${REGION}:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`,
        },
      ],
    })
    const KeyId = await suite.newKey()
    const put = suite.client('root').send(new PutKeyPolicyCommand({ KeyId, Policy: policy }))
    expect(await refusalOf(put)).toBe('MalformedPolicyDocumentException')
    expect(await refusalOf(suite.newKey(policy))).toBe('MalformedPolicyDocumentException')
  })

  test('hold for each principal, and what is not allowed is said in AWS’s words', async () => {
    const KeyId = await suite.newKey()
    await suite.client('app').send(new DescribeKeyCommand({ KeyId }))
    const sent = suite.client('other').send(new DescribeKeyCommand({ KeyId }))
    await expect(sent).rejects.toThrow(
      `User: ${ARNS.other} is not authorized to perform: kms:DescribeKey on resource: arn:aws:kms:${REGION}:${ACCOUNT}:key/${KeyId} because no resource-based policy allows the kms:DescribeKey action`,
    )
    expect(await refusalOf(suite.client('other').send(new CreateKeyCommand({})))).toBe(
      'AccessDeniedException',
    )
  })

  test('see the encryption context', async () => {
    const Condition = { StringEquals: { 'kms:EncryptionContext:stage': 'prod' } }
    const KeyId = await suite.newKey(policyFor(Condition))
    const encrypt = (EncryptionContext?: Record<string, string>) =>
      suite
        .client('app')
        .send(new EncryptCommand({ KeyId, Plaintext: randomBytes(8), EncryptionContext }))
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
    const KeyId = await suite.newKey(policyFor(Condition))
    const input = { KeyId, Plaintext: randomBytes(8), EncryptionContext }
    const sent = suite.client('app').send(new EncryptCommand(input))
    expect(await refusalOf(sent)).toBe('ValidationException')
  })
})
