// Key policies: the decisions of AWS's published rules, a naive model beside the engine, what is
// refused. The warnings are in key-policy-warnings.test.ts.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decide,
  parseGrants,
  parseKeyPolicy,
  ROOT_CONDITION_KEY,
  ruleOnDocument,
} from '../src/policy/index.ts'
import { expectCode } from './expect-error.ts'
import { ACCOUNT, APP, KEY, SOURCES } from './key-policy/decision-case.ts'
import { DECISIONS } from './key-policy/decisions.ts'
import { naiveDecision } from './key-policy/naive-model.ts'
import { randomAccess } from './key-policy/random-access.ts'

const PCR = 'a1'.repeat(48)
const IMAGE = 'kms:RecipientAttestation:ImageSha384'
const allow = (fields: object = {}): object => ({
  ...{ Effect: 'Allow', Principal: { AWS: APP }, Action: 'kms:Decrypt', Resource: '*', ...fields },
})
const policyOf = (...Statement: readonly object[]): object => ({ Version: '2012-10-17', Statement })
const measured = { StringEqualsIgnoreCase: { [IMAGE]: PCR } }
const unmeasured = { StringNotEqualsIgnoreCase: { [IMAGE]: PCR } }

/** Whether an Allow with this condition permits a request with this context. */
function permits(Condition: object, context: Record<string, string>): boolean {
  return decide(
    { principal: APP, action: 'kms:Decrypt', resource: KEY, context },
    { key: parseKeyPolicy(policyOf(allow({ Condition }))), identity: [], account: ACCOUNT },
  ).allowed
}

describe('a decision follows from the published rules', () => {
  test.each(DECISIONS)('$source: $claim: $allowed', ({ key, identity, request, allowed }) => {
    const policies = {
      key: key === null ? null : parseKeyPolicy(key),
      identity: identity.map((one) => parseKeyPolicy(one, 'identity')),
      account: ACCOUNT,
    }
    expect(decide(request, policies).allowed).toBe(allowed)
  })

  test('there are at least 150 of them, each with its source', () => {
    expect(DECISIONS.length).toBeGreaterThanOrEqual(150)
    expect(DECISIONS.every(({ source }) => SOURCES[source].startsWith('https://docs.aws'))).toBe(
      true,
    )
    expect(new Set(DECISIONS.map((one) => JSON.stringify(one))).size).toBe(DECISIONS.length)
  })
})

test('the engine and a naive model decide alike', () => {
  const counts = { allowed: 0, denied: 0 }
  fc.assert(
    fc.property(randomAccess, ({ key, identity, grants, request }) => {
      const policies = {
        key: key && parseKeyPolicy(key),
        identity: identity.map((one) => parseKeyPolicy(one, 'identity')),
        grants: parseGrants({ Grants: grants }),
        account: ACCOUNT,
      }
      const { allowed } = decide(request, policies)
      expect(allowed).toBe(naiveDecision(request, { key, identity, grants }))
      counts[allowed ? 'allowed' : 'denied'] += 1
    }),
    { numRuns: 6000 },
  )
  expect(Math.min(counts.allowed, counts.denied)).toBeGreaterThan(500)
})

test('wildcards match what a regular expression of the same meaning does', () => {
  const units = fc.constantFrom('a', 'a', 'b', '😀')
  const texts = fc.array(units, { maxLength: 12 }).map((parts) => parts.join(''))
  const wild = fc.oneof({ weight: 3, arbitrary: units }, fc.constantFrom('*', '?'))
  const patterns = fc.array(wild, { maxLength: 10 }).map((parts) => parts.join(''))
  fc.assert(
    fc.property(texts, patterns, (k, pattern) => {
      const source = pattern.replaceAll('*', '.*').replaceAll('?', '.')
      expect(permits({ StringLike: { k: pattern } }, { k })).toBe(
        new RegExp(`^${source}$`, 'su').test(k),
      )
    }),
    { numRuns: 2000 },
  )
})

test('a value longer than any pattern is compared', () => {
  const k = `${'a'.repeat(8000)}b${'a'.repeat(8000)}`
  expect(permits({ StringLike: { k: `*${'a'.repeat(2000)}b*` } }, { k })).toBe(true)
  expect(permits({ StringLike: { k: `*${'a'.repeat(2000)}bb*` } }, { k })).toBe(false)
  expect(permits({ StringLike: { k: `*?${'a'.repeat(100)}b*` } }, { k })).toBe(true)
  const variables = { StringEquals: { k: '${l}'.repeat(32) } }
  expect(permits(variables, { k, l: k })).toBe(false)
})

test('a request whose keys differ in case only, or with a value out of bounds, is not decided', async () => {
  const Condition = { StringEquals: { 'kms:EncryptionContext:Tenant': 'A' } }
  const context = { 'kms:EncryptionContext:Tenant': 'B', 'kms:EncryptionContext:tenant': 'A' }
  await expectCode(() => permits(Condition, context), 'ERR_CONDITION_FORMAT')
  await expectCode(() => permits(Condition, { k: 'a'.repeat(65_537) }), 'ERR_CONDITION_FORMAT')
})

describe('an explanation', () => {
  test('shows the conditions of statements that do not match, too', () => {
    const key = parseKeyPolicy(policyOf(allow({ Action: 'kms:Sign', Condition: measured })))
    const request = { principal: APP, action: 'kms:Decrypt', resource: KEY }
    const { statements } = decide(
      { ...request, context: { [IMAGE]: PCR } },
      { key, identity: [], account: ACCOUNT },
    )
    expect(statements).toMatchObject([
      { action: false, applies: false, conditions: [{ key: IMAGE, actual: PCR, holds: true }] },
    ])
  })

  const key = parseKeyPolicy(
    policyOf(
      allow({ Sid: 'Enclave', Condition: measured }),
      allow({ Sid: 'Guard', Effect: 'Deny', Principal: '*', Condition: unmeasured }),
    ),
  )
  const explain = (context: Record<string, string>) =>
    decide(
      { principal: APP, action: 'kms:Decrypt', resource: KEY, context },
      { key, identity: [], account: ACCOUNT },
    )

  test('names the statement that decided, and what each condition saw', () => {
    expect(explain({ [IMAGE]: PCR })).toMatchObject({
      reason: 'allow',
      decidedBy: { policy: 'key', statement: 'Enclave' },
    })
    const { reason, decidedBy, statements } = explain({})
    expect({ reason, decidedBy }).toMatchObject({
      reason: 'explicit-deny',
      decidedBy: { statement: 'Guard' },
    })
    expect(statements[0]).toMatchObject({
      ...{ statement: 'Enclave', principal: true, action: true, resource: true, applies: false },
      conditions: [{ operator: 'StringEqualsIgnoreCase', key: IMAGE, actual: null, holds: false }],
    })
  })
})

describe('a policy is refused', () => {
  const wrong: readonly (readonly [claim: string, policy: unknown, code?: string])[] = [
    ['that is not an object', []],
    ['without statements', { Version: '2012-10-17', Statement: [] }],
    ['of an unknown version', { Version: '2020-01-01', Statement: [allow()] }],
    ['with an unknown element', { ...policyOf(allow()), Statements: [] }],
    ['with a misspelt element in a statement', policyOf(allow({ Conditions: {} }))],
    ['with an unknown effect', policyOf(allow({ Effect: 'allow' }))],
    ['without a principal', policyOf({ Effect: 'Allow', Action: 'kms:*', Resource: '*' })],
    ['with both kinds of principal', policyOf(allow({ NotPrincipal: '*' }))],
    [
      'with a wildcard in an ARN of a principal',
      policyOf(allow({ Principal: { AWS: `${APP}*` } })),
    ],
    ['with an unknown type of principal', policyOf(allow({ Principal: { User: APP } }))],
    ['with both Action and NotAction', policyOf(allow({ NotAction: 'kms:Sign' }))],
    ['with an action without a service', policyOf(allow({ Action: 'Decrypt' }))],
    ['with an empty list of actions', policyOf(allow({ Action: [] }))],
    ['without a resource', policyOf({ Effect: 'Allow', Principal: '*', Action: 'kms:*' })],
    [
      'with more variables than are looked for in bounded time',
      policyOf(
        ...[1, 2].map((number) =>
          allow({
            Sid: `s${number}`,
            Resource: Array.from({ length: 17 }, (_, at) => `${at}\${aws:UserAgent}`),
          }),
        ),
      ),
    ],
    ['with one Sid twice', policyOf(allow({ Sid: 'a' }), allow({ Sid: 'a' }))],
    ['with an unknown operator', policyOf(allow({ Condition: { StringIs: { k: 'x' } } })), 'C'],
    [
      'with an unknown set operator',
      policyOf(allow({ Condition: { 'ForSome:StringEquals': { k: 'x' } } })),
      'C',
    ],
    [
      'with a number that is not one',
      policyOf(allow({ Condition: { NumericEquals: { k: 'ten' } } })),
      'C',
    ],
    [
      'with a date that is not one',
      policyOf(allow({ Condition: { DateLessThan: { k: 'soon' } } })),
      'C',
    ],
    [
      'with a range that is not one',
      policyOf(allow({ Condition: { IpAddress: { k: '10.0.0.0/33' } } })),
      'C',
    ],
    [
      'with Null of neither true nor false',
      policyOf(allow({ Condition: { Null: { k: 'yes' } } })),
      'C',
    ],
    ['with a resource of over 2048 characters', policyOf(allow({ Resource: 'a'.repeat(2049) }))],
    [
      'with a value of over 2048 characters',
      policyOf(allow({ Condition: { StringLike: { k: 'a'.repeat(2049) } } })),
      'C',
    ],
    [
      'with a variable of over 256 characters',
      policyOf(allow({ Condition: { StringLike: { k: `\${x${' '.repeat(300)}}` } } })),
      'C',
    ],
    [
      'with a condition without values',
      policyOf(allow({ Condition: { StringEquals: { k: [] } } })),
      'C',
    ],
  ]
  test.each(wrong)('%s', async (_claim, policy, code) => {
    const expected = code === undefined ? 'ERR_KEY_POLICY_FORMAT' : 'ERR_CONDITION_FORMAT'
    await expectCode(() => parseKeyPolicy(policy), expected)
  })

  test('of an identity that names a principal', async () => {
    await expectCode(() => parseKeyPolicy(policyOf(allow()), 'identity'), 'ERR_KEY_POLICY_FORMAT')
  })

  test('or parsed, whatever the JSON is, without any other error', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom('Statement', 'Principal', 'Condition'),
        (value, name) => {
          const policy =
            name === 'Statement' ? { Statement: value } : policyOf(allow({ [name]: value }))
          try {
            parseKeyPolicy(policy)
          } catch (error) {
            expect((error as { name: string }).name).toBe('AttestationError')
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

test('a document counts under the only root, however often it is given, and else under a named one', () => {
  const [mine, theirs] = ['ab'.repeat(32), 'cd'.repeat(32)] as const
  const naming = (operator: string, Effect = 'Allow') =>
    parseKeyPolicy(
      policyOf(allow({ Effect, Condition: { [operator]: { [ROOT_CONDITION_KEY]: mine } } })),
    )
  const document = { [IMAGE]: PCR, [ROOT_CONDITION_KEY]: mine.toUpperCase(), 'aws:userid': 'app' }
  const counts = (key: ReturnType<typeof naming>, trusted: readonly string[], context = document) =>
    ruleOnDocument(context, { key, identity: [] }, trusted)
  const unnamed = parseKeyPolicy(policyOf(allow()))
  for (const trusted of [[], [mine], [mine, mine]])
    expect(counts(unnamed, trusted)).toEqual({ context: document, ignored: null })
  expect(counts(unnamed, [mine, theirs])).toEqual({
    context: { 'aws:userid': 'app' },
    ignored: expect.stringContaining(mine) as string,
  })
  const isCounted = (...[operator, effect]: Parameters<typeof naming>): boolean =>
    counts(naming(operator, effect), [mine, theirs]).ignored === null
  expect(isCounted('StringEquals')).toBe(true)
  expect(isCounted('StringEqualsIgnoreCase')).toBe(true)
  expect(isCounted('StringNotEquals', 'Deny')).toBe(true)
  for (const operator of ['StringNotEquals', 'StringLike', 'StringEqualsIfExists'])
    expect(isCounted(operator), operator).toBe(false)
  expect(isCounted('StringEquals', 'Deny')).toBe(false)
  const other = { ...document, [ROOT_CONDITION_KEY]: theirs }
  expect(counts(naming('StringEquals'), [mine, theirs], other).ignored).toContain(theirs)
})
