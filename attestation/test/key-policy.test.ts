// Key policies: the decisions of AWS's published rules, a naive model beside the engine, what is
// refused, and the warnings.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decide,
  findPolicyWarnings,
  parseGrants,
  parseKeyPolicy,
  ROOT_KEY,
} from '../src/policy/index.ts'
import { expectCode } from './expect-error.ts'
import { ACCOUNT, APP, KEY, OPS, ROOT, SOURCES } from './key-policy/decision-case.ts'
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

describe('a warning is given', () => {
  const guard = allow({ Effect: 'Deny', Principal: '*', Condition: unmeasured })
  const codes = (...statements: readonly object[]): readonly string[] =>
    findPolicyWarnings(parseKeyPolicy(policyOf(...statements))).map(({ code }) => code)

  test('of nothing where one Allow and a Deny ask for the document', () => {
    expect(codes(allow({ Condition: measured }), guard)).toEqual([])
  })

  test('of a policy that asks for no document, and of an Allow beside one that does', () => {
    expect(codes(allow())).toEqual(['unconditioned-allow', 'no-attestation'])
    expect(codes(allow({ Condition: measured }), allow())).toEqual([
      'unconditioned-allow',
      'no-deny-when-absent',
    ])
    expect(codes(allow({ Condition: measured }), allow(), guard)).toEqual([])
  })

  test('of what opens the key around the document', () => {
    const open = (Action: string) => codes(allow({ Condition: measured }), guard, allow({ Action }))
    expect(open('kms:ReEncryptFrom')).toEqual(['reencrypt-from'])
    expect(open('kms:CreateGrant')).toEqual(['create-grant'])
    expect(open('kms:PutKeyPolicy')).toEqual(['put-key-policy'])
    expect(open('kms:*')).toContain('wildcard-action')
    const delegating = allow({ Principal: { AWS: ROOT }, Condition: measured })
    expect(codes(delegating)).toEqual(['account-delegation', 'no-deny-when-absent'])
    expect(codes(delegating, guard)).toEqual([])
    expect(codes(allow({ Principal: '*', Condition: measured }), guard)).toEqual(['anyone'])
  })

  test('of a Deny that other documents pass', () => {
    const beside = (more: object) =>
      codes(allow(), allow({ Effect: 'Deny', Principal: '*', ...more }))
    const both = { StringNotEquals: { [IMAGE]: PCR, 'kms:RecipientAttestation:PCR1': PCR } }
    const open = ['unconditioned-allow', 'no-deny-when-absent']
    expect(beside({ Condition: { StringNotEquals: { [IMAGE]: PCR } } })).toEqual([])
    expect(beside({ Condition: both })).toEqual(open)
    expect(beside({ Condition: { Null: { [IMAGE]: 'true' } } })).toEqual(open)
    expect(beside({ Condition: { StringNotLike: { [IMAGE]: '*' } } })).toContain(open[0])
    expect(codes(allow({ Condition: { Null: { [IMAGE]: 'false' } } }))).toEqual([
      'wildcard-measurement',
      'no-deny-when-absent',
    ])
  })

  test('of registers that more than one image has, and of a signer', () => {
    const register = (name: string) => `kms:RecipientAttestation:${name}`
    const pinned = (...names: readonly string[]) =>
      codes(
        allow({
          Condition: {
            StringEqualsIgnoreCase: Object.fromEntries(names.map((one) => [register(one), PCR])),
          },
        }),
        allow({ Effect: 'Deny', Principal: '*', Condition: { Null: { k: 'true' } } }),
      ).filter((code) => code !== 'no-deny-when-absent')
    for (const names of [['PCR0'], ['ImageSha384'], ['PCR1', 'PCR2']])
      expect(pinned(...names)).toEqual([])
    expect(pinned('NitroTPMPCR4', 'NitroTPMPCR12')).toEqual([])
    expect(pinned('PCR8')).toEqual(['signer-measurement'])
    expect(pinned('NitroTPMPCR7')).toEqual(['signer-measurement'])
    for (const name of ['PCR1', 'PCR2', 'NitroTPMPCR4', 'NitroTPMPCR12'])
      expect(pinned(name), name).toEqual(['weak-measurement'])
    for (const name of ['PCR3', 'PCR4', 'PCR16', 'NitroTPMPCR0', 'NitroTPMPCR9'])
      expect(pinned(name), name).toEqual(['wildcard-measurement'])
    const zeros = { [register('NitroTPMPCR4')]: PCR, [register('NitroTPMPCR12')]: '0'.repeat(96) }
    expect(codes(allow({ Condition: { StringEquals: zeros } }))).toEqual(['no-deny-when-absent'])
    const guards = ['PCR1', 'PCR2'].map((name) =>
      allow({
        ...{ Effect: 'Deny', Principal: '*' },
        Condition: { StringNotEqualsIgnoreCase: { [register(name)]: PCR } },
      }),
    )
    expect(codes(allow(), ...guards)).toEqual([])
    expect(codes(allow(), ...guards.slice(1))).toEqual(['weak-measurement', 'no-deny-when-absent'])
  })

  test('of signatures, MACs and shared secrets that need no document', () => {
    const unguarded = (Action: string, ...more: readonly object[]) =>
      codes(allow({ Condition: measured }), guard, allow({ Action }), ...more)
    const open = ['unconditioned-allow', 'no-deny-when-absent']
    for (const Action of ['kms:Sign', 'kms:GenerateMac', 'kms:Decapsulate'])
      expect(unguarded(Action), Action).toEqual(open)
    const denies = (Action: string, name: string) =>
      allow({
        ...{ Effect: 'Deny', Principal: '*', Action },
        Condition: { StringNotEquals: { [`kms:RecipientAttestation:${name}`]: PCR } },
      })
    expect(unguarded('kms:Sign', denies('kms:Sign', 'PCR0'))).toEqual([])
    expect(unguarded('kms:Sign', denies('kms:Sign', 'PCR1'))).toContain('weak-measurement')
    expect(unguarded('kms:GenerateMac', denies('kms:GenerateMac', 'PCR1'))).toEqual([])
  })

  test('of conditions that hold without a document, or that nothing meets', () => {
    const asks = (Condition: object) => codes(allow({ Principal: { AWS: OPS }, Condition }), guard)
    expect(asks({ StringEqualsIfExists: { [IMAGE]: PCR } })).toEqual(['true-when-absent'])
    expect(asks({ StringNotEquals: { [IMAGE]: PCR } })).toEqual(['true-when-absent'])
    expect(asks({ StringLike: { [IMAGE]: '*' } })).toEqual(['wildcard-measurement'])
    expect(asks({ StringEquals: { [IMAGE]: '0'.repeat(96) } })).toEqual(['debug-measurement'])
    expect(asks({ StringEquals: { [IMAGE]: PCR.toUpperCase() } })).toEqual(['never-matches'])
    expect(asks({ StringEquals: { [IMAGE]: 'abc' } })).toEqual(['never-matches'])
    expect(asks({ StringEquals: { 'kms:RecipientAttestation': PCR } })).toContain(
      'unknown-condition-key',
    )
  })

  test('of roots that are missing, not trusted, or left open between several', () => {
    const [mine, theirs] = ['ab'.repeat(32), 'cd'.repeat(32)] as const
    const among = (trusted: readonly string[], ...statements: readonly object[]) =>
      findPolicyWarnings(parseKeyPolicy(policyOf(...statements, guard)), trusted).map(
        ({ code, statement }) => `${code}${statement === null ? '' : ` ${statement}`}`,
      )
    const under = (root: string, operator = 'StringEquals') =>
      allow({ Condition: { ...measured, [operator]: { [ROOT_KEY]: root } } })
    const Condition = { StringNotEquals: { [ROOT_KEY]: [mine, theirs] } }
    const guardRoot = { Effect: 'Deny', Principal: '*', Condition }
    expect(among([mine, theirs], under(mine))).toEqual([])
    expect(among([mine], allow({ Condition: measured }))).toEqual([])
    expect(among([mine, theirs], allow({ Condition: measured }))).toEqual(['no-root'])
    expect(among([mine, theirs], under(mine, 'StringLike'))).toEqual(['no-root'])
    expect(among([mine, theirs], under('*', 'StringLike'))).toEqual(['no-root'])
    expect(among([mine, theirs], under(mine, 'StringNotEquals'))).toEqual(['no-root'])
    expect(among([theirs], under(mine))).toEqual(['untrusted-root'])
    expect(among([mine, theirs], allow({ Condition: measured }), allow(guardRoot))).toEqual([
      'several-roots #1',
    ])
  })

  test('of NotPrincipal', () => {
    const not = {
      Effect: 'Allow',
      NotPrincipal: { AWS: OPS },
      Action: 'kms:Decrypt',
      Resource: '*',
    }
    expect(codes({ ...not, Condition: measured }, guard)).toEqual(['not-principal'])
  })
})
