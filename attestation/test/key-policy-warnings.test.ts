// What is said about key policies that defeat attestation, and about nothing else.

import { describe, expect, test } from 'vitest'
import { findPolicyWarnings, parseKeyPolicy, ROOT_CONDITION_KEY } from '../src/policy/index.ts'
import { allow, IMAGE, OPS, PCR, ROOT } from './key-policy/decision-case.ts'

const policyOf = (...Statement: readonly object[]): object => ({ Version: '2012-10-17', Statement })
const measured = { StringEqualsIgnoreCase: { [IMAGE]: PCR } }
const unmeasured = { StringNotEqualsIgnoreCase: { [IMAGE]: PCR } }

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
      allow({ Condition: { ...measured, [operator]: { [ROOT_CONDITION_KEY]: root } } })
    const Condition = { StringNotEquals: { [ROOT_CONDITION_KEY]: [mine, theirs] } }
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
