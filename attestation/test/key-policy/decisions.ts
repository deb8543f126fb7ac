// Decisions on requests whose answer follows from what AWS publishes, each with the page it follows from.

import type { AccessRequest, RequestContext } from '../../src/policy/index.ts'

const IAM = 'https://docs.aws.amazon.com/IAM/latest/UserGuide/'
const KMS = 'https://docs.aws.amazon.com/kms/latest/developerguide/'

/** Where each rule is stated. */
export const SOURCES = {
  operators: `${IAM}reference_policies_elements_condition_operators.html`,
  values: `${IAM}reference_policies_condition-logic-multiple-context-keys-or-values.html`,
  sets: `${IAM}reference_policies_condition-single-vs-multi-valued-context-keys.html`,
  variables: `${IAM}reference_policies_variables.html`,
  condition: `${IAM}reference_policies_elements_condition.html`,
  evaluation: `${IAM}reference_policies_evaluation-logic.html`,
  crossAccount: `${IAM}reference_policies_evaluation-logic-cross-account.html`,
  principal: `${IAM}reference_policies_elements_principal.html`,
  notPrincipal: `${IAM}reference_policies_elements_notprincipal.html`,
  action: `${IAM}reference_policies_elements_action.html`,
  notAction: `${IAM}reference_policies_elements_notaction.html`,
  resource: `${IAM}reference_policies_elements_resource.html`,
  notResource: `${IAM}reference_policies_elements_notresource.html`,
  root: `${IAM}id_root-user.html`,
  keyDefault: `${KMS}key-policy-default.html`,
  keyPolicy: `${KMS}key-policies.html`,
  attestation: `${KMS}conditions-attestation.html`,
  keys: `${KMS}conditions-kms.html`,
} as const

export type Source = keyof typeof SOURCES

export interface DecisionCase {
  readonly claim: string
  readonly source: Source
  readonly key: unknown
  readonly identity: readonly unknown[]
  readonly request: AccessRequest
  readonly allowed: boolean
}

export const ACCOUNT = '111122223333'
export const OTHER = '444455556666'
export const APP = `arn:aws:iam::${ACCOUNT}:user/app`
export const OPS = `arn:aws:iam::${ACCOUNT}:user/ops`
export const ROOT = `arn:aws:iam::${ACCOUNT}:root`
export const ROLE = `arn:aws:iam::${ACCOUNT}:role/service/enclave`
export const SESSION = `arn:aws:sts::${ACCOUNT}:assumed-role/enclave/i-0123`
export const STRANGER = `arn:aws:iam::${OTHER}:user/app`
export const KEY = `arn:aws:kms:eu-central-1:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`
const PCR = 'a1'.repeat(48)
const PCR0 = 'kms:RecipientAttestation:PCR0'
const IMAGE = 'kms:RecipientAttestation:ImageSha384'
const TPM4 = 'kms:RecipientAttestation:NitroTPMPCR4'

type Fields = Readonly<Record<string, unknown>>
const allow = (fields: Fields = {}): Fields => ({
  Effect: 'Allow',
  Principal: { AWS: APP },
  Action: 'kms:Decrypt',
  Resource: '*',
  ...fields,
})
const deny = (fields: Fields = {}): Fields => allow({ Effect: 'Deny', ...fields })
/** The same without some elements. */
const without = (fields: Fields, ...names: readonly string[]): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)))
const own = (fields: Fields = {}): Fields => without(allow(fields), 'Principal')
const policy = (...statements: readonly Fields[]): Fields => ({
  Version: '2012-10-17',
  Statement: statements,
})
const base: AccessRequest = { principal: APP, action: 'kms:Decrypt', resource: KEY, context: {} }

interface Given {
  readonly key?: readonly Fields[] | null
  readonly identity?: readonly Fields[]
  readonly request?: Partial<AccessRequest>
  readonly version?: string
}

function decision(source: Source, claim: string, allowed: boolean, given: Given): DecisionCase {
  const { key = [allow()], identity = [], request = {}, version = '2012-10-17' } = given
  return {
    ...{ claim, source, allowed },
    key: key && { ...policy(...key), Version: version },
    identity: identity.length === 0 ? [] : [policy(...identity)],
    request: { ...base, ...request },
  }
}

/** One Allow with this condition, for a request with this context. */
type ConditionRow = readonly [Source, boolean, Fields, RequestContext]

const conditionRows: readonly ConditionRow[] = [
  // --- strings
  ['operators', true, { StringEquals: { k: 'Value' } }, { k: 'Value' }],
  ['operators', false, { StringEquals: { k: 'value' } }, { k: 'Value' }],
  ['operators', false, { StringEquals: { k: 'Val*' } }, { k: 'Value' }],
  ['operators', true, { StringEquals: { k: 'Val*' } }, { k: 'Val*' }],
  ['operators', true, { StringNotEquals: { k: 'value' } }, { k: 'Value' }],
  ['operators', false, { StringNotEquals: { k: 'Value' } }, { k: 'Value' }],
  ['operators', true, { StringEqualsIgnoreCase: { k: 'VALUE' } }, { k: 'value' }],
  ['operators', false, { StringEqualsIgnoreCase: { k: 'VALUES' } }, { k: 'value' }],
  ['operators', false, { StringNotEqualsIgnoreCase: { k: 'VALUE' } }, { k: 'value' }],
  ['operators', true, { StringNotEqualsIgnoreCase: { k: 'OTHER' } }, { k: 'value' }],
  ['operators', true, { StringLike: { k: 'v*e' } }, { k: 'value' }],
  ['operators', true, { StringLike: { k: 'v?lue' } }, { k: 'value' }],
  ['operators', true, { StringLike: { k: '*' } }, { k: '' }],
  ['operators', false, { StringLike: { k: '?' } }, { k: '' }],
  ['operators', false, { StringLike: { k: 'V*' } }, { k: 'value' }],
  ['operators', false, { StringLike: { k: 'val' } }, { k: 'value' }],
  ['operators', false, { StringLike: { k: 'v.lue' } }, { k: 'value' }],
  ['operators', true, { StringLike: { k: '*a*u*' } }, { k: 'value' }],
  ['operators', false, { StringNotLike: { k: 'v*' } }, { k: 'value' }],
  ['operators', true, { StringNotLike: { k: 'w*' } }, { k: 'value' }],
  // --- numbers
  ['operators', true, { NumericEquals: { k: '10' } }, { k: '10.0' }],
  ['operators', false, { NumericEquals: { k: '10' } }, { k: '11' }],
  ['operators', true, { NumericNotEquals: { k: '10' } }, { k: '11' }],
  ['operators', false, { NumericNotEquals: { k: 10 } }, { k: '10' }],
  ['operators', true, { NumericLessThan: { k: '10' } }, { k: '9' }],
  ['operators', false, { NumericLessThan: { k: '10' } }, { k: '10' }],
  ['operators', false, { NumericLessThan: { k: '9' } }, { k: '10' }],
  ['operators', true, { NumericLessThanEquals: { k: '10' } }, { k: '10' }],
  ['operators', false, { NumericLessThanEquals: { k: '10' } }, { k: '10.5' }],
  ['operators', true, { NumericGreaterThan: { k: '-2' } }, { k: '-1' }],
  ['operators', false, { NumericGreaterThan: { k: '10' } }, { k: '10' }],
  ['operators', true, { NumericGreaterThanEquals: { k: '10' } }, { k: '10' }],
  ['operators', false, { NumericGreaterThanEquals: { k: '10' } }, { k: '9' }],
  ['operators', false, { NumericLessThan: { k: '10' } }, { k: 'nine' }],
  // --- dates
  ['operators', true, { DateEquals: { k: '2026-11-26T00:00:00Z' } }, { k: '2026-11-26' }],
  ['operators', true, { DateNotEquals: { k: '2026-11-26' } }, { k: '2026-11-27' }],
  [
    'operators',
    true,
    { DateLessThan: { k: '2027-01-01T00:00:00Z' } },
    { k: '2026-12-31T23:59:59Z' },
  ],
  [
    'operators',
    false,
    { DateLessThan: { k: '2027-01-01T00:00:00Z' } },
    { k: '2027-01-01T00:00:00Z' },
  ],
  [
    'operators',
    true,
    { DateLessThanEquals: { k: '2027-01-01T00:00:00Z' } },
    { k: '2027-01-01T00:00:00Z' },
  ],
  [
    'operators',
    true,
    { DateGreaterThan: { k: '2026-01-01T00:00:00Z' } },
    { k: '2026-01-01T00:00:01Z' },
  ],
  [
    'operators',
    false,
    { DateGreaterThan: { k: '2026-01-01T02:00:00+02:00' } },
    { k: '2026-01-01T00:00:00Z' },
  ],
  [
    'operators',
    true,
    { DateGreaterThanEquals: { k: '2026-01-01T02:00:00+02:00' } },
    { k: '2026-01-01T00:00:00Z' },
  ],
  ['operators', true, { DateGreaterThan: { k: '1767225600' } }, { k: '2026-06-01T00:00:00Z' }],
  ['operators', false, { DateGreaterThan: { k: '2026-01-01' } }, { k: 'tomorrow' }],
  // --- truth values, bytes, addresses, ARNs
  ['operators', true, { Bool: { k: 'true' } }, { k: 'true' }],
  ['operators', true, { Bool: { k: true } }, { k: 'true' }],
  ['operators', false, { Bool: { k: 'true' } }, { k: 'false' }],
  ['operators', true, { Bool: { k: 'false' } }, { k: 'false' }],
  ['operators', false, { Bool: { k: 'false' } }, {}],
  ['operators', true, { BinaryEquals: { k: 'QmluYXJ5' } }, { k: 'QmluYXJ5' }],
  ['operators', false, { BinaryEquals: { k: 'QmluYXJ5' } }, { k: 'qmluYXJ5' }],
  ['operators', true, { IpAddress: { k: '203.0.113.0/24' } }, { k: '203.0.113.9' }],
  ['operators', false, { IpAddress: { k: '203.0.113.0/24' } }, { k: '203.0.114.9' }],
  ['operators', true, { IpAddress: { k: '203.0.113.9' } }, { k: '203.0.113.9' }],
  ['operators', true, { IpAddress: { k: '0.0.0.0/0' } }, { k: '198.51.100.1' }],
  ['operators', false, { IpAddress: { k: '0.0.0.0/0' } }, { k: '2001:db8::1' }],
  ['operators', true, { IpAddress: { k: '2001:db8:1234::/48' } }, { k: '2001:db8:1234:5678::1' }],
  ['operators', false, { IpAddress: { k: '2001:db8:1234::/48' } }, { k: '2001:db8:1235::1' }],
  ['operators', true, { IpAddress: { k: ['10.0.0.0/8', '2001:db8::/32'] } }, { k: '2001:db8::7' }],
  ['operators', false, { NotIpAddress: { k: '203.0.113.0/24' } }, { k: '203.0.113.9' }],
  ['operators', true, { NotIpAddress: { k: '203.0.113.0/24' } }, { k: '192.0.2.1' }],
  [
    'operators',
    true,
    { ArnEquals: { k: 'arn:aws:sns:*:1:topic' } },
    { k: 'arn:aws:sns:eu-west-1:1:topic' },
  ],
  [
    'operators',
    true,
    { ArnLike: { k: 'arn:aws:iam::1:role/*' } },
    { k: 'arn:aws:iam::1:role/a/b' },
  ],
  ['operators', false, { ArnLike: { k: 'arn:aws:iam::*:x' } }, { k: 'arn:aws:iam::1:role:x' }],
  [
    'operators',
    true,
    { ArnNotEquals: { k: 'arn:aws:iam::1:role/x' } },
    { k: 'arn:aws:iam::1:role/y' },
  ],
  [
    'operators',
    false,
    { ArnNotLike: { k: 'arn:aws:iam::1:role/*' } },
    { k: 'arn:aws:iam::1:role/y' },
  ],
  // --- a key that the request does not have
  ['operators', false, { StringEquals: { k: 'x' } }, {}],
  ['operators', false, { StringLike: { k: '*' } }, {}],
  ['operators', false, { NumericLessThan: { k: '1' } }, {}],
  ['operators', false, { DateLessThan: { k: '2030-01-01' } }, {}],
  ['operators', false, { IpAddress: { k: '0.0.0.0/0' } }, {}],
  ['operators', false, { ArnLike: { k: 'arn:aws:iam::*:role/*' } }, {}],
  ['operators', true, { StringNotEquals: { k: 'x' } }, {}],
  ['operators', true, { StringNotEqualsIgnoreCase: { k: 'x' } }, {}],
  ['operators', true, { StringNotLike: { k: '*' } }, {}],
  ['operators', true, { NumericNotEquals: { k: '1' } }, {}],
  ['operators', true, { DateNotEquals: { k: '2030-01-01' } }, {}],
  ['operators', true, { NotIpAddress: { k: '0.0.0.0/0' } }, {}],
  ['operators', true, { ArnNotLike: { k: 'arn:aws:iam::*:role/*' } }, {}],
  // --- IfExists
  ['operators', true, { StringEqualsIfExists: { k: 'x' } }, {}],
  ['operators', true, { StringEqualsIfExists: { k: 'x' } }, { k: 'x' }],
  ['operators', false, { StringEqualsIfExists: { k: 'x' } }, { k: 'y' }],
  ['operators', true, { NumericLessThanIfExists: { k: '1' } }, {}],
  ['operators', false, { NumericLessThanIfExists: { k: '1' } }, { k: '1' }],
  ['operators', true, { BoolIfExists: { k: 'true' } }, {}],
  ['operators', false, { BoolIfExists: { k: 'true' } }, { k: 'false' }],
  ['operators', true, { IpAddressIfExists: { k: '10.0.0.0/8' } }, {}],
  ['operators', false, { StringNotEqualsIfExists: { k: 'x' } }, { k: 'x' }],
  ['operators', true, { StringNotEqualsIfExists: { k: 'x' } }, {}],
  // --- Null
  ['operators', true, { Null: { k: 'true' } }, {}],
  ['operators', false, { Null: { k: 'true' } }, { k: 'x' }],
  ['operators', true, { Null: { k: false } }, { k: 'x' }],
  ['operators', false, { Null: { k: 'false' } }, {}],
  ['operators', true, { Null: { k: 'false' } }, { k: '' }],
  // --- several values, keys, operators
  ['values', true, { StringEquals: { k: ['a', 'b'] } }, { k: 'b' }],
  ['values', false, { StringEquals: { k: ['a', 'b'] } }, { k: 'c' }],
  ['values', false, { StringNotEquals: { k: ['a', 'b'] } }, { k: 'b' }],
  ['values', true, { StringNotEquals: { k: ['a', 'b'] } }, { k: 'c' }],
  ['values', true, { StringEquals: { k: 'a', l: 'b' } }, { k: 'a', l: 'b' }],
  ['values', false, { StringEquals: { k: 'a', l: 'b' } }, { k: 'a', l: 'c' }],
  ['values', false, { StringEquals: { k: 'a', l: 'b' } }, { k: 'a' }],
  ['values', true, { StringEquals: { k: 'a' }, Bool: { l: 'true' } }, { k: 'a', l: 'true' }],
  ['values', false, { StringEquals: { k: 'a' }, Bool: { l: 'true' } }, { k: 'a', l: 'false' }],
  ['condition', true, { StringEquals: { 'AWS:Key': 'a' } }, { 'aws:key': 'a' }],
  ['condition', true, {}, {}],
  // --- multivalued keys
  ['sets', true, { 'ForAllValues:StringEquals': { k: ['a', 'b', 'c'] } }, { k: ['a', 'b'] }],
  ['sets', false, { 'ForAllValues:StringEquals': { k: ['a', 'b'] } }, { k: ['a', 'z'] }],
  ['sets', true, { 'ForAllValues:StringEquals': { k: 'a' } }, {}],
  ['sets', true, { 'ForAllValues:StringEquals': { k: 'a' } }, { k: [] }],
  ['sets', false, { 'ForAllValues:StringEquals': { k: 'a' }, Null: { k: 'false' } }, {}],
  ['sets', true, { 'ForAnyValue:StringEquals': { k: ['a', 'b'] } }, { k: ['z', 'b'] }],
  ['sets', false, { 'ForAnyValue:StringEquals': { k: ['a', 'b'] } }, { k: ['y', 'z'] }],
  ['sets', false, { 'ForAnyValue:StringEquals': { k: 'a' } }, {}],
  ['sets', false, { 'ForAnyValue:StringEquals': { k: 'a' } }, { k: [] }],
  ['sets', true, { 'ForAnyValue:StringLike': { k: 'a*' } }, { k: ['z', 'abc'] }],
  ['sets', true, { 'ForAllValues:StringNotEquals': { k: ['x', 'y'] } }, { k: ['a', 'b'] }],
  ['sets', false, { 'ForAllValues:StringNotEquals': { k: ['x', 'y'] } }, { k: ['a', 'x'] }],
  ['sets', true, { 'ForAnyValue:StringNotEquals': { k: ['x', 'y'] } }, { k: ['a', 'x'] }],
  ['sets', false, { 'ForAnyValue:StringNotEquals': { k: ['x', 'y'] } }, { k: ['x', 'y'] }],
  ['sets', true, { 'ForAllValues:StringLike': { k: ['a*', 'b*'] } }, { k: ['a1', 'b2'] }],
  ['operators', true, { 'ForAnyValue:StringEqualsIfExists': { k: 'a' } }, {}],
  ['operators', false, { 'ForAnyValue:StringEqualsIfExists': { k: 'a' } }, { k: ['b'] }],
  // --- variables
  [
    'variables',
    true,
    { StringEquals: { k: '${aws:username}' } },
    { k: 'app', 'aws:username': 'app' },
  ],
  [
    'variables',
    false,
    { StringEquals: { k: '${aws:username}' } },
    { k: 'ops', 'aws:username': 'app' },
  ],
  [
    'variables',
    true,
    { StringLike: { k: '${aws:username}-*' } },
    { k: 'app-1', 'aws:username': 'app' },
  ],
  ['variables', false, { StringEquals: { k: '${aws:username}' } }, { k: '${aws:username}' }],
  ['variables', true, { StringEquals: { k: "${aws:PrincipalTag/team, 'none'}" } }, { k: 'none' }],
  [
    'variables',
    true,
    { StringEquals: { k: "${aws:PrincipalTag/team, 'none'}" } },
    { k: 'red', 'aws:PrincipalTag/team': 'red' },
  ],
  ['variables', true, { StringLike: { k: 'a${*}b' } }, { k: 'a*b' }],
  ['variables', false, { StringLike: { k: 'a${*}b' } }, { k: 'axxb' }],
  ['variables', true, { StringLike: { k: 'a${?}${$}' } }, { k: 'a?$' }],
  [
    'variables',
    true,
    { StringEquals: { k: '${AWS:UserName}' } },
    { k: 'app', 'aws:username': 'app' },
  ],
  ['variables', false, { StringNotEquals: { k: '${aws:PrincipalTag/owner}' } }, { k: 'app' }],
  ['variables', false, { StringNotLike: { k: 'x-${aws:PrincipalTag/owner}' } }, { k: 'app' }],
  ['variables', false, { StringEquals: { k: ['app', '${aws:username}'] } }, { k: 'app' }],
  [
    'variables',
    false,
    { 'ForAllValues:StringEquals': { l: '${aws:PrincipalTag/owner}' } },
    { k: 'app' },
  ],
  [
    'variables',
    true,
    { StringNotEquals: { k: "${aws:PrincipalTag/owner , 'a, b'}" } },
    { k: 'a b' },
  ],
  [
    'variables',
    true,
    { StringNotEquals: { k: '${aws:PrincipalTag/owner}' } },
    { k: 'app', 'aws:PrincipalTag/owner': 'ops' },
  ],
  // --- the keys of KMS
  ['attestation', true, { StringEqualsIgnoreCase: { [PCR0]: PCR.toUpperCase() } }, { [PCR0]: PCR }],
  ['attestation', true, { StringEqualsIgnoreCase: { [IMAGE]: PCR } }, { [IMAGE]: PCR }],
  ['attestation', false, { StringEqualsIgnoreCase: { [IMAGE]: PCR } }, { [IMAGE]: 'b'.repeat(96) }],
  ['attestation', false, { StringEqualsIgnoreCase: { [IMAGE]: PCR } }, {}],
  ['attestation', false, { StringEqualsIgnoreCase: { [TPM4]: PCR } }, { [PCR0]: PCR }],
  ['attestation', true, { StringEqualsIgnoreCase: { [TPM4]: PCR } }, { [TPM4]: PCR }],
  [
    'attestation',
    false,
    { StringEqualsIgnoreCase: { [PCR0]: PCR, [IMAGE]: 'b'.repeat(96) } },
    { [PCR0]: PCR, [IMAGE]: PCR },
  ],
  ['attestation', true, { StringNotEqualsIgnoreCase: { [IMAGE]: PCR } }, {}],
  [
    'keys',
    true,
    { StringEquals: { 'kms:EncryptionContext:stage': 'prod' } },
    { 'kms:EncryptionContext:stage': 'prod' },
  ],
  [
    'keys',
    false,
    { StringEquals: { 'kms:EncryptionContext:stage': 'prod' } },
    { 'kms:EncryptionContext:stage': 'PROD' },
  ],
  [
    'keys',
    true,
    { 'ForAnyValue:StringEquals': { 'kms:EncryptionContextKeys': 'stage' } },
    { 'kms:EncryptionContextKeys': ['stage', 'role'] },
  ],
  [
    'keys',
    false,
    { 'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': 'stage' } },
    { 'kms:EncryptionContextKeys': ['stage', 'role'] },
  ],
  ['keys', false, { Null: { 'kms:EncryptionContext:stage': 'false' } }, {}],
]

const conditions = conditionRows.map(([source, allowed, Condition, context]) =>
  decision(source, `${JSON.stringify(Condition)} for ${JSON.stringify(context)}`, allowed, {
    key: [allow({ Condition })],
    request: { context },
  }),
)

const isNot = (key: string) => ({ StringNotEqualsIgnoreCase: { [key]: PCR } })
const everyone = { Principal: '*' }
const delegating = allow({ Principal: { AWS: ROOT }, Action: 'kms:*' })
const sandbox = [
  allow({ Principal: { AWS: OPS }, Action: ['kms:PutKeyPolicy', 'kms:DescribeKey'] }),
  allow({ Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } } }),
  deny({ ...everyone, Condition: isNot(IMAGE) }),
]

const structure: readonly DecisionCase[] = [
  // --- Allow, Deny, neither
  decision('evaluation', 'an Allow allows', true, {}),
  decision('evaluation', 'without a statement nothing is allowed', false, {
    key: [deny({ Action: 'kms:Sign' })],
  }),
  decision('evaluation', 'a Deny wins over an Allow before it', false, { key: [allow(), deny()] }),
  decision('evaluation', 'a Deny wins over an Allow after it', false, { key: [deny(), allow()] }),
  decision('evaluation', 'a Deny whose condition does not hold denies nothing', true, {
    key: [allow(), deny({ Condition: { StringEquals: { k: 'x' } } })],
  }),
  decision('evaluation', 'a Deny with a negated operator denies a request without the key', false, {
    key: [allow(), deny({ Condition: { StringNotEquals: { k: 'x' } } })],
  }),
  decision('evaluation', 'a Deny with Null true denies a request without the key', false, {
    key: [allow(), deny({ Condition: { Null: { k: 'true' } } })],
  }),
  decision('evaluation', 'one of two Allows is enough', true, {
    key: [allow({ Condition: { Bool: { k: 'true' } } }), allow()],
  }),
  decision('evaluation', 'a Deny for somebody else denies nothing', true, {
    key: [allow(), deny({ Principal: { AWS: OPS } })],
  }),
  decision('evaluation', 'a Deny of another action denies nothing', true, {
    key: [allow(), deny({ Action: 'kms:Encrypt' })],
  }),
  decision('evaluation', "a Deny in the identity's policy wins over the key's Allow", false, {
    identity: [own({ Effect: 'Deny' })],
  }),
  // --- actions
  decision('action', 'an action is compared without case', true, {
    key: [allow({ Action: 'KMS:decrypt' })],
  }),
  decision('action', '* is every action', true, { key: [allow({ Action: '*' })] }),
  decision('action', 'kms:* is every action of KMS', true, { key: [allow({ Action: 'kms:*' })] }),
  decision('action', 'a wildcard in a name', true, { key: [allow({ Action: 'kms:De*' })] }),
  decision('action', 'a wildcard that matches another name', false, {
    key: [allow({ Action: 'kms:GenerateDataKey*' })],
  }),
  decision('action', 'GenerateDataKey* covers the pair', true, {
    key: [allow({ Action: 'kms:GenerateDataKey*' })],
    request: { action: 'kms:GenerateDataKeyPair' },
  }),
  decision('action', 'kms:ReEncrypt* covers ReEncryptFrom', true, {
    key: [allow({ Action: 'kms:ReEncrypt*' })],
    request: { action: 'kms:ReEncryptFrom' },
  }),
  decision('action', 'kms:Encrypt does not cover kms:ReEncryptTo', false, {
    key: [allow({ Action: 'kms:Encrypt' })],
    request: { action: 'kms:ReEncryptTo' },
  }),
  decision('action', 'one of a list', true, {
    key: [allow({ Action: ['kms:Encrypt', 'kms:Decrypt'] })],
  }),
  decision('action', "another service's wildcard", false, { key: [allow({ Action: 's3:*' })] }),
  decision('action', '? is one character', true, { key: [allow({ Action: 'kms:Decryp?' })] }),
  decision('notAction', 'NotAction allows what it does not name', true, {
    key: [without(allow({ NotAction: 'kms:Encrypt' }), 'Action')],
  }),
  decision('notAction', 'NotAction does not allow what it names', false, {
    key: [without(allow({ NotAction: ['kms:Encrypt', 'kms:De*'] }), 'Action')],
  }),
  decision('notAction', 'a Deny with NotAction denies the rest', false, {
    key: [allow(), without(deny({ NotAction: 'kms:Encrypt' }), 'Action')],
  }),
  decision('notAction', 'a Deny with NotAction spares what it names', true, {
    key: [allow(), without(deny({ NotAction: 'kms:Decrypt' }), 'Action')],
  }),
  // --- resources
  decision('keyPolicy', '* in a key policy is the key', true, {}),
  decision('resource', "the key's ARN", true, { key: [allow({ Resource: KEY })] }),
  decision('resource', "another key's ARN", false, {
    key: [allow({ Resource: KEY.replace('1111-', '1112-') })],
  }),
  decision('resource', 'a wildcard in an ARN', true, {
    key: [allow({ Resource: `arn:aws:kms:*:${ACCOUNT}:key/*` })],
  }),
  decision('resource', "another region's keys", false, {
    key: [allow({ Resource: `arn:aws:kms:us-east-1:${ACCOUNT}:key/*` })],
  }),
  decision('resource', 'ARNs are compared with case', false, {
    key: [allow({ Resource: KEY.replace(':key/', ':KEY/') })],
  }),
  decision('resource', 'one of a list', true, {
    key: [allow({ Resource: ['arn:aws:kms:x:1:key/y', KEY] })],
  }),
  decision('notResource', 'NotResource excludes what it names', false, {
    key: [without(allow({ NotResource: KEY }), 'Resource')],
  }),
  decision('notResource', 'NotResource includes the rest', true, {
    key: [without(allow({ NotResource: 'arn:aws:kms:*:1:key/*' }), 'Resource')],
  }),
  decision('variables', 'a variable in a resource', true, {
    key: [allow({ Resource: 'arn:aws:kms:*:${aws:PrincipalAccount}:key/*' })],
    request: { context: { 'aws:PrincipalAccount': ACCOUNT } },
  }),
  decision('variables', 'a variable without a value matches no resource', false, {
    key: [allow({ Resource: 'arn:aws:kms:*:${aws:PrincipalAccount}:key/*' })],
  }),
  decision(
    'variables',
    'a Deny with a negated operator denies where a variable has no value',
    false,
    {
      key: [allow(), deny({ Condition: { StringNotEquals: { k: '${aws:PrincipalTag/owner}' } } })],
      request: { context: { k: 'app' } },
    },
  ),
  decision('variables', 'in version 2008-10-17 a variable is plain text', false, {
    version: '2008-10-17',
    key: [allow({ Condition: { StringEquals: { k: '${aws:username}' } } })],
    request: { context: { k: 'app', 'aws:username': 'app' } },
  }),
  decision('variables', 'and matches its own text', true, {
    version: '2008-10-17',
    key: [allow({ Condition: { StringEquals: { k: '${aws:username}' } } })],
    request: { context: { k: '${aws:username}' } },
  }),
  // --- principals
  decision('principal', 'another user', false, { request: { principal: OPS } }),
  decision('principal', 'one of a list', true, {
    key: [allow({ Principal: { AWS: [OPS, APP] } })],
  }),
  decision('principal', '"*" is everyone', true, { key: [allow(everyone)] }),
  decision('principal', '{"AWS": "*"} is everyone', true, {
    key: [allow({ Principal: { AWS: '*' } })],
  }),
  decision('principal', "a role covers the role's sessions", true, {
    key: [allow({ Principal: { AWS: ROLE } })],
    request: { principal: SESSION },
  }),
  decision('principal', 'a session is only itself', true, {
    key: [allow({ Principal: { AWS: SESSION } })],
    request: { principal: SESSION },
  }),
  decision('principal', 'another session of the role', false, {
    key: [allow({ Principal: { AWS: SESSION } })],
    request: { principal: SESSION.replace('i-0123', 'i-9999') },
  }),
  decision('principal', 'a role of the same name in another account', false, {
    key: [allow({ Principal: { AWS: ROLE } })],
    request: { principal: SESSION.replace(ACCOUNT, OTHER) },
  }),
  decision('principal', 'a service is not a user', false, {
    key: [allow({ Principal: { Service: 'lambda.amazonaws.com' } })],
  }),
  decision('principal', 'a Deny for an account covers its users', false, {
    key: [allow(), deny({ Principal: { AWS: ROOT } })],
  }),
  decision('principal', 'a Deny for an account number covers its users', false, {
    key: [allow(), deny({ Principal: { AWS: ACCOUNT } })],
  }),
  decision(
    'notPrincipal',
    'a Deny with NotPrincipal spares a user whose account is listed too',
    true,
    { key: [allow(), without(deny({ NotPrincipal: { AWS: [APP, ROOT] } }), 'Principal')] },
  ),
  decision('notPrincipal', 'and denies one whose account is not', false, {
    key: [allow(), without(deny({ NotPrincipal: { AWS: [APP] } }), 'Principal')],
  }),
  decision('notPrincipal', 'and everyone else', false, {
    key: [allow(everyone), without(deny({ NotPrincipal: { AWS: [APP, ROOT] } }), 'Principal')],
    request: { principal: OPS },
  }),
  decision('notPrincipal', 'an Allow with NotPrincipal does not allow whom it names', false, {
    key: [without(allow({ NotPrincipal: { AWS: APP } }), 'Principal')],
  }),
  // --- the key's policy and the identity's
  decision('keyDefault', "a user's own policy alone does not open a key", false, {
    key: [allow({ Principal: { AWS: OPS } })],
    identity: [own()],
  }),
  decision('keyDefault', "the account's statement alone does not allow its users", false, {
    key: [delegating],
  }),
  decision('keyDefault', "the account's statement lets the user's policy decide", true, {
    key: [delegating],
    identity: [own()],
  }),
  decision('keyDefault', "the user's policy must allow this action", false, {
    key: [delegating],
    identity: [own({ Action: 'kms:Encrypt' })],
  }),
  decision('keyDefault', "the user's policy must allow this key", false, {
    key: [delegating],
    identity: [own({ Resource: 'arn:aws:kms:*:*:key/other' })],
  }),
  decision('keyDefault', "a condition in the user's policy counts", false, {
    key: [delegating],
    identity: [own({ Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } } })],
  }),
  decision('keyDefault', "the account's statement allows its root user", true, {
    key: [delegating],
    request: { principal: ROOT },
  }),
  decision('keyPolicy', 'not even the root user is allowed without the key policy', false, {
    request: { principal: ROOT },
  }),
  decision('keyDefault', 'an account number delegates as its ARN does', true, {
    key: [allow({ Principal: { AWS: ACCOUNT } })],
    identity: [own()],
  }),
  decision('crossAccount', 'a user of another account needs both policies', true, {
    key: [allow({ Principal: { AWS: STRANGER } })],
    identity: [own()],
    request: { principal: STRANGER },
  }),
  decision('crossAccount', "the key's policy alone is not enough", false, {
    key: [allow({ Principal: { AWS: STRANGER } })],
    request: { principal: STRANGER },
  }),
  decision('crossAccount', "the identity's alone neither", false, {
    identity: [own()],
    request: { principal: STRANGER },
  }),
  decision('crossAccount', 'everyone includes another account, with its own policy', true, {
    key: [allow(everyone)],
    identity: [own()],
    request: { principal: STRANGER },
  }),
  // --- actions without a key
  decision('attestation', "GenerateRandom is decided by the identity's policy", true, {
    key: null,
    identity: [own({ Action: 'kms:GenerateRandom' })],
    request: { action: 'kms:GenerateRandom', resource: '*' },
  }),
  decision('attestation', 'and its condition on the document', false, {
    key: null,
    identity: [
      own({
        Action: 'kms:GenerateRandom',
        Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } },
      }),
    ],
    request: { action: 'kms:GenerateRandom', resource: '*' },
  }),
  decision('evaluation', 'without any policy there is no CreateKey', false, {
    key: null,
    request: { action: 'kms:CreateKey', resource: '*' },
  }),
  decision('root', 'the root user may CreateKey', true, {
    key: null,
    request: { principal: ROOT, action: 'kms:CreateKey', resource: '*' },
  }),
  decision('root', "another account's root user may not", false, {
    key: null,
    request: { principal: `arn:aws:iam::${OTHER}:root`, action: 'kms:CreateKey', resource: '*' },
  }),
  // --- a key for one enclave, as AWS's Nitro samples lay it out
  decision('attestation', 'the measured image decrypts', true, {
    key: sandbox,
    request: { context: { [IMAGE]: PCR } },
  }),
  decision('attestation', 'another image does not', false, {
    key: sandbox,
    request: { context: { [IMAGE]: 'c'.repeat(96) } },
  }),
  decision('attestation', 'a debug enclave does not', false, {
    key: sandbox,
    request: { context: { [IMAGE]: '0'.repeat(96) } },
  }),
  decision('attestation', 'the parent without a document does not', false, { key: sandbox }),
  decision('attestation', 'the administrator does not, document or not', false, {
    key: sandbox,
    request: { principal: OPS, context: { [IMAGE]: PCR } },
  }),
  decision('attestation', "the Deny holds against the identity's own policy", false, {
    key: [...sandbox, delegating],
    identity: [own({ Action: '*' })],
  }),
  decision('attestation', 'a second Allow without a condition defeats an Allow with one', true, {
    key: [allow({ Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } } }), allow()],
  }),
  decision('attestation', 'but not the Deny', false, { key: [...sandbox, allow()] }),
]

/** Every decision of the table. */
export const DECISIONS: readonly DecisionCase[] = [...conditions, ...structure]
