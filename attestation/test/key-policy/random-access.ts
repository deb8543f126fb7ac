// Small policies, grants and requests that often meet each other.

import fc from 'fast-check'
import type { AccessRequest } from '../../src/policy/index.ts'
import { ACCOUNT, APP, KEY, OPS, OTHER, ROLE, ROOT, SESSION, STRANGER } from './decision-case.ts'

export interface NaiveStatement {
  readonly Effect: 'Allow' | 'Deny'
  readonly Principal?: Names
  readonly NotPrincipal?: Names
  readonly Action?: readonly string[]
  readonly NotAction?: readonly string[]
  readonly Resource?: readonly string[]
  readonly NotResource?: readonly string[]
  readonly Condition: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
}

export type Names = '*' | { readonly AWS: readonly string[] }

export interface NaivePolicy {
  readonly Version: string
  readonly Statement: readonly NaiveStatement[]
}

export interface NaiveGrant {
  readonly GrantId: string
  readonly GranteePrincipal: string
  readonly Operations: readonly string[]
  readonly Constraints: Readonly<Record<string, Readonly<Record<string, string>>>>
}

const FEDERATED = `arn:aws:sts::${ACCOUNT}:federated-user/visitor`
const OTHER_ROOT = `arn:aws:iam::${OTHER}:root`
const SMALL = `${KEY.slice(0, KEY.indexOf('key/'))}key/ab`
const texts = ['', 'a', 'b', 'ab', 'A', '*']

/** Of one type of operators: their names, the values in policies and those in requests. */
interface Kind {
  readonly keys: readonly string[]
  readonly operators: readonly string[]
  readonly values: readonly string[]
  readonly actual: readonly string[]
}

const ordersOf = (kind: string): readonly string[] =>
  ['Equals', 'NotEquals', 'LessThan', 'LessThanEquals', 'GreaterThan', 'GreaterThanEquals'].map(
    (order) => `${kind}${order}`,
  )
const numbers = ['0', '1', '1.0', '-2.5', '10', '+1']
const dates = ['2026-01-01T00:00:00Z', '2026-01-01', '2026-01-01T02:00:00+02:00', '1767225600']
const moments = [...dates, '2026-06-01T00:00:00Z', '2027']
const ranges = ['10.0.0.0/8', '10.1.2.3', '192.168.0.0/16', '0.0.0.0/0', '::/0', '2001:db8::/33']
const KINDS: readonly Kind[] = [
  {
    keys: ['k', 'l'],
    operators: [
      ...['StringEquals', 'StringNotEquals', 'StringLike', 'StringNotLike'],
      ...['StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase'],
    ],
    values: [...texts, 'a*', '?b', '${k}', '${l}', 'a${k}', '*${l}', '${*}', "${l, 'b'}", '${m}'],
    actual: texts,
  },
  { keys: ['n'], operators: ordersOf('Numeric'), values: numbers, actual: [...numbers, 'x'] },
  { keys: ['d'], operators: ordersOf('Date'), values: moments, actual: [...moments, 'soon'] },
  { keys: ['b'], operators: ['Bool'], values: ['true', 'false'], actual: ['true', 'FALSE', 'x'] },
  {
    keys: ['bin'],
    operators: ['BinaryEquals'],
    values: ['YQ==', 'Yg=='],
    actual: ['YQ==', 'yq=='],
  },
  {
    keys: ['ip'],
    operators: ['IpAddress', 'NotIpAddress'],
    values: [...ranges, '::1'],
    actual: ['10.1.2.3', '192.168.7.1', '::1', '2001:db8::5', '2001:db8:8000::', 'x'],
  },
  {
    keys: ['arn'],
    operators: ['ArnEquals', 'ArnNotEquals', 'ArnLike', 'ArnNotLike'],
    values: [APP, 'arn:aws:iam::*:user/*', 'arn:aws:*:*:*:*', 'arn:*:*:*:*:?*', '*', '${arn}:::::'],
    actual: [APP, ROLE, 'arn:aws:s3:::a:b', 'x'],
  },
]

const some = <T>(values: readonly T[], maxLength = 2): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength })
const operatorOf = ({ operators }: Kind): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom('', '', '', 'ForAllValues:', 'ForAnyValue:'),
      fc.constantFrom(...operators),
      fc.constantFrom('', '', '', 'IfExists'),
    )
    .map((parts) => parts.join(''))
const blockOf = (kind: Kind) =>
  fc.dictionary(
    operatorOf(kind),
    fc.dictionary(fc.constantFrom(...kind.keys), some(kind.values), { minKeys: 1 }),
    { maxKeys: 2 },
  )
const conditions = fc.oneof(
  ...KINDS.map((kind) => ({ arbitrary: blockOf(kind), weight: 2 * kind.keys.length - 1 })),
  fc.tuple(...KINDS.map(blockOf)).map((blocks) => Object.assign({}, ...blocks) as object),
  fc.record({
    Null: fc.dictionary(fc.constantFrom('k', 'n', 'ip'), fc.constantFrom(['true'], ['false'])),
  }),
) as fc.Arbitrary<NaiveStatement['Condition']>

const actions = some(['kms:Decrypt', 'kms:Encrypt', 'kms:*', 'kms:De*', 'KMS:encrypt'])
const resources = some([
  ...['*', '*', KEY, 'arn:aws:kms:*', 'arn:aws:s3:::x', `${KEY.slice(0, -1)}?`],
  ...[SMALL.replace('ab', '${k}'), SMALL.replace('ab', "${m, 'ab'}")],
])
const negatable = <T>(name: string, values: fc.Arbitrary<T>) =>
  fc
    .tuple(fc.constantFrom('', '', 'Not'), values)
    .map(([not, value]) => ({ [`${not}${name}`]: value }))
const body = fc
  .tuple(
    fc.record({
      Effect: fc.constantFrom('Allow', 'Allow', 'Deny'),
      Condition: fc.oneof(fc.constant({}), conditions),
    }),
    negatable('Action', actions),
    negatable('Resource', resources),
  )
  .map((parts) => Object.assign({}, ...parts) as NaiveStatement)
const principals: fc.Arbitrary<Names> = fc.oneof(
  fc.constant('*' as const),
  fc.record({ AWS: fc.subarray([SESSION, ROLE, ROOT, APP], { minLength: 1 }) }),
  fc.record({
    AWS: some([APP, OPS, ROOT, ROOT, ROLE, SESSION, FEDERATED, STRANGER, OTHER_ROOT, '*'], 4),
  }),
)
const keyStatement = fc
  .tuple(body, negatable('Principal', principals))
  .map((parts) => Object.assign({}, ...parts) as NaiveStatement)
const policyOf = (statement: fc.Arbitrary<NaiveStatement>): fc.Arbitrary<NaivePolicy> =>
  fc.record({
    Version: fc.constantFrom('2012-10-17', '2012-10-17', '2008-10-17'),
    Statement: fc.array(statement, { minLength: 1, maxLength: 3 }),
  })

const encryptionContext = fc.constantFrom({}, { a: '1' }, { a: '2' }, { a: '1', b: '2' })
const grants: fc.Arbitrary<readonly NaiveGrant[]> = fc.array(
  fc.record({
    GrantId: fc.constantFrom('g1', 'g2'),
    GranteePrincipal: fc.constantFrom(APP, OPS, ROOT, ROLE, SESSION, STRANGER, OTHER_ROOT),
    Operations: some(['Decrypt', 'Encrypt', 'DescribeKey']),
    Constraints: fc.dictionary(
      fc.constantFrom('EncryptionContextEquals', 'EncryptionContextSubset'),
      encryptionContext.filter((one) => 'a' in one) as fc.Arbitrary<Record<string, string>>,
      { maxKeys: 2 },
    ),
  }),
  { maxLength: 2 },
)

const valuesOf = ({ keys, actual }: Kind) => {
  const value = fc.constantFrom(...actual)
  return fc.dictionary(
    fc.constantFrom(...keys),
    fc.oneof({ weight: 3, arbitrary: value }, fc.array(value, { maxLength: 2 })),
  )
}
const context = fc
  .tuple(encryptionContext, ...KINDS.map(valuesOf))
  .map(([encryption, ...values]): AccessRequest['context'] => {
    const names = Object.keys(encryption)
    const pairs = Object.entries(encryption).map(([name, value]) => [
      `kms:EncryptionContext:${name}`,
      value,
    ])
    return Object.assign(
      names.length === 0 ? {} : { 'kms:EncryptionContextKeys': names },
      Object.fromEntries(pairs),
      ...values,
    ) as AccessRequest['context']
  })

/** Small policies, and requests that often meet them. */
export const randomAccess = fc.record({
  key: fc.option(policyOf(keyStatement), { freq: 8 }),
  identity: fc.array(policyOf(body), { maxLength: 1 }),
  grants,
  request: fc.record<AccessRequest>({
    principal: fc.constantFrom(
      APP,
      APP,
      OPS,
      ROOT,
      SESSION,
      SESSION,
      FEDERATED,
      STRANGER,
      OTHER_ROOT,
    ),
    action: fc.constantFrom('kms:Decrypt', 'kms:Encrypt'),
    resource: fc.constantFrom(KEY, KEY, SMALL),
    context,
  }),
})
