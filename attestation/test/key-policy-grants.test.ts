// Grants beside a key policy: whom they let in, what holds them back, and what of attestation they defeat.

import { describe, expect, test } from 'vitest'
import {
  decide,
  findGrantWarnings,
  findPolicyWarnings,
  parseGrants,
  parseKeyPolicy,
  type RequestContext,
} from '../src/policy/index.ts'
import { expectCode } from './expect-error.ts'
import {
  ACCOUNT,
  APP,
  KEY,
  OPS,
  ROLE,
  ROOT,
  SESSION,
  STRANGER,
} from './key-policy/decision-case.ts'

const PCR = 'a1'.repeat(48)
const IMAGE = 'kms:RecipientAttestation:ImageSha384'
const policyOf = (...Statement: readonly object[]) =>
  parseKeyPolicy({ Version: '2012-10-17', Statement })
const allow = (fields: object = {}): object => ({
  ...{ Effect: 'Allow', Principal: { AWS: OPS }, Action: 'kms:Decrypt', Resource: '*', ...fields },
})
const gated = allow({
  Principal: { AWS: APP },
  Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } },
})
/** Everyone is denied without the right document. */
const denied = (Action: readonly string[]): object =>
  allow({
    ...{ Effect: 'Deny', Principal: '*', Action },
    Condition: { StringNotEqualsIgnoreCase: { [IMAGE]: PCR } },
  })
const GATED = ['Decrypt', 'GenerateDataKey', 'GenerateDataKeyPair', 'DeriveSharedSecret']
const ALL_GATED = [...GATED, 'Sign', 'GenerateMac', 'Decapsulate', 'ReEncryptFrom'].map(
  (name) => `kms:${name}`,
)
const grantOf = (fields: object = {}) =>
  parseGrants({
    Grants: [{ GrantId: 'g1', GranteePrincipal: APP, Operations: ['Decrypt'], ...fields }],
  })

interface Asked {
  readonly principal?: string
  readonly action?: string
  readonly context?: RequestContext
  readonly grants?: ReturnType<typeof parseGrants>
  readonly key?: ReturnType<typeof policyOf>
}

const decisionOf = (asked: Asked = {}) => {
  const { principal = APP, action = 'kms:Decrypt', context = {}, key = policyOf(allow()) } = asked
  const { grants = grantOf() } = asked
  const request = { principal, action, resource: KEY, context }
  return decide(request, { key, identity: [], account: ACCOUNT, grants })
}
const contextOf = (pairs: Readonly<Record<string, string>>): RequestContext => ({
  ...Object.fromEntries(
    Object.entries(pairs).map(([name, value]) => [`kms:EncryptionContext:${name}`, value] as const),
  ),
  ...(Object.keys(pairs).length > 0 ? { 'kms:EncryptionContextKeys': Object.keys(pairs) } : {}),
})

describe('a grant', () => {
  test('lets its principal do its operations, and is named as the reason', () => {
    const decision = decisionOf()
    expect(decision).toMatchObject({ allowed: true, reason: 'allow' })
    expect(decision.decidedBy).toMatchObject({ policy: 'grant', statement: 'g1' })
    expect(decisionOf({ action: 'kms:Encrypt' }).allowed).toBe(false)
    expect(decisionOf({ principal: STRANGER }).allowed).toBe(false)
    expect(decisionOf({ grants: [] }).allowed).toBe(false)
  })

  test('to a role counts for its sessions, to an account for its root user', () => {
    const grants = grantOf({ GranteePrincipal: ROLE })
    expect(decisionOf({ principal: SESSION, grants }).allowed).toBe(true)
    expect(decisionOf({ principal: SESSION }).allowed).toBe(false)
    const toAccount = grantOf({ GranteePrincipal: ROOT })
    expect(decisionOf({ principal: ROOT, grants: toAccount }).allowed).toBe(true)
    expect(decisionOf({ principal: APP, grants: toAccount }).allowed).toBe(false)
  })

  test('does not count where a policy denies, or where there is no key', () => {
    const key = policyOf(allow(), allow({ Effect: 'Deny', Principal: '*' }))
    expect(decisionOf({ key })).toMatchObject({ allowed: false, reason: 'explicit-deny' })
    const request = { principal: APP, action: 'kms:Decrypt', resource: '*', context: {} }
    const policies = { key: null, identity: [], account: ACCOUNT, grants: grantOf() }
    expect(decide(request, policies).allowed).toBe(false)
  })

  test('tells names apart whose lower case depends on what is before', () => {
    const grants = grantOf({ Constraints: { EncryptionContextSubset: { Σ: 'right' } } })
    const isAllowed = (pairs: Readonly<Record<string, string>>) =>
      decisionOf({ grants, context: contextOf(pairs) }).allowed
    expect(isAllowed({ Σ: 'right' })).toBe(true)
    expect(isAllowed({ Σ: 'wrong', σ: 'right' })).toBe(false)
  })

  test('is bound by its constraints where an operation has an encryption context', () => {
    const equals = grantOf({
      ...{ Operations: ['Decrypt', 'DescribeKey'] },
      Constraints: { EncryptionContextEquals: { a: 'x', b: 'y' } },
    })
    const subset = grantOf({ Constraints: { EncryptionContextSubset: { a: 'x' } } })
    const cases: [Readonly<Record<string, string>>, boolean, boolean][] = [
      [{ a: 'x', b: 'y' }, true, true],
      [{ a: 'x', b: 'y', c: 'z' }, false, true],
      [{ a: 'x' }, false, true],
      [{ a: 'X', b: 'y' }, false, false],
      [{ A: 'x', b: 'y' }, false, false],
      [{}, false, false],
    ]
    for (const [pairs, byEquals, bySubset] of cases) {
      const context = contextOf(pairs)
      expect(decisionOf({ context, grants: equals }).allowed, JSON.stringify(pairs)).toBe(byEquals)
      expect(decisionOf({ context, grants: subset }).allowed, JSON.stringify(pairs)).toBe(bySubset)
    }
    expect(decisionOf({ action: 'kms:DescribeKey', grants: equals }).allowed).toBe(true)
    const report = decisionOf({ context: contextOf({ a: 'y' }), grants: subset }).statements.at(-1)
    expect(report?.conditions).toMatchObject([
      { operator: 'EncryptionContextSubset', actual: '{"a":"y"}', holds: false },
    ])
  })

  test('for a resource counts for requests on its behalf', () => {
    const SourceArn = `arn:aws:s3:eu-central-1:${ACCOUNT}:bucket`
    const grants = grantOf({ Constraints: { SourceArn } })
    expect(decisionOf({ grants }).allowed).toBe(false)
    expect(decisionOf({ grants, context: { 'aws:SourceArn': SourceArn } }).allowed).toBe(true)
    expect(decisionOf({ grants, context: { 'aws:SourceArn': `${SourceArn}s` } }).allowed).toBe(
      false,
    )
  })

  test.each([
    ['without an id', { GrantId: undefined }],
    ['to something that is not a principal', { GranteePrincipal: 'app' }],
    ['of no operation', { Operations: [] }],
    ['of an operation that grants do not have', { Operations: ['PutKeyPolicy'] }],
    ['with a constraint that nobody knows', { Constraints: { Weather: 'fair' } }],
    ['with a context that is not text', { Constraints: { EncryptionContextEquals: { a: 1 } } }],
  ])('%s is refused', async (_what, fields) => {
    await expectCode(() => grantOf(fields), 'ERR_KEY_POLICY_FORMAT')
  })
})

describe('what defeats attestation', () => {
  test('is a grant of an operation that no Deny holds back without a document', () => {
    const warningsOf = (key: ReturnType<typeof policyOf>, fields: object = {}) =>
      findGrantWarnings(key, grantOf(fields)).map(({ code, statement }) => [code, statement])
    const open = [['grant-without-document', 'grant g1']]
    expect(warningsOf(policyOf(gated))).toEqual(open)
    expect(warningsOf(policyOf(gated), { Operations: ['ReEncryptFrom'] })).toEqual(open)
    expect(warningsOf(policyOf(gated), { Operations: ['Encrypt', 'DescribeKey'] })).toEqual([])
    expect(warningsOf(policyOf(gated, denied(['kms:Decrypt'])))).toEqual([])
    expect(warningsOf(policyOf(gated, denied(['kms:Encrypt'])))).toEqual(open)
  })

  test('is permission to make such a grant', () => {
    const grants = (fields: object = {}) =>
      allow({ Sid: 'Grants', Action: 'kms:CreateGrant', ...fields })
    const warned = (...statements: readonly object[]) =>
      findPolicyWarnings(policyOf(gated, ...statements)).some(({ code }) => code === 'create-grant')
    expect(warned(grants())).toBe(true)
    expect(warned(grants(), denied(['kms:Decrypt']))).toBe(true)
    expect(warned(grants(), denied(ALL_GATED))).toBe(false)
    const limited = (operations: readonly string[]) => ({
      Condition: { 'ForAllValues:StringEquals': { 'kms:GrantOperations': operations } },
    })
    expect(warned(grants(limited(['Encrypt', 'DescribeKey'])))).toBe(false)
    expect(warned(grants(limited(['Encrypt', 'Decrypt'])))).toBe(true)
    const other = {
      Condition: { 'ForAnyValue:StringEquals': { 'kms:GrantOperations': 'Encrypt' } },
    }
    expect(warned(grants(other))).toBe(true)
  })
})
