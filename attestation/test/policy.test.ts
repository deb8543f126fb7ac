// Policies as data: IAM string conditions, KMS condition keys, policy files and their schemas.

import { Ajv } from 'ajv'
import { beforeAll, describe, expect, test } from 'vitest'
import { verifyAttestation, type AttestationErrorCode } from '../src/index.ts'
import {
  checkConditions,
  conditionKeys,
  createPolicyVerifier,
  unmetConditions,
  type ConditionBlock,
} from '../src/policy/index.ts'
import { decodePem } from '../src/x509/index.ts'
import measurementsSchema from '../schemas/measurements.schema.json' with { type: 'json' }
import policySchema from '../schemas/policy.schema.json' with { type: 'json' }
import { errorOf, expectCode } from './expect-error.ts'
import { makeChain, makeDocument, NOW_MS, pcrHex, samplePcrs } from './issuer/document.ts'

const IMAGE = 'kms:RecipientAttestation:ImageSha384'
const PCR3 = 'kms:RecipientAttestation:PCR3'

let pem: string
let document: Uint8Array
const runtime = { at: new Date(NOW_MS) }

beforeAll(async () => {
  const chain = await makeChain()
  pem = toPem(chain.root.certificate)
  document = await makeDocument(chain)
})

function toPem(der: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...der))
  return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
}

describe('conditions', () => {
  const context = { 'k:a': 'Value', 'k:empty': '' }
  const cases: readonly [claim: string, block: ConditionBlock, holds: boolean][] = [
    ['StringEquals compares exactly', { StringEquals: { 'k:a': 'Value' } }, true],
    ['StringEquals minds the case', { StringEquals: { 'k:a': 'value' } }, false],
    ['StringEqualsIgnoreCase does not', { StringEqualsIgnoreCase: { 'k:a': 'vALUE' } }, true],
    ['one of several values is enough', { StringEquals: { 'k:a': ['x', 'Value'] } }, true],
    ['keys are compared without case', { StringEquals: { 'K:A': 'Value' } }, true],
    ['an absent key does not equal', { StringEquals: { 'k:b': '' } }, false],
    ['an empty value is present', { StringEquals: { 'k:empty': '' } }, true],
    [
      'a negated operator needs none to match',
      { StringNotEquals: { 'k:a': ['x', 'Value'] } },
      false,
    ],
    ['a negated operator holds for an absent key', { StringNotEquals: { 'k:b': 'x' } }, true],
    ['IfExists holds for an absent key', { StringEqualsIfExists: { 'k:b': 'x' } }, true],
    ['IfExists compares a present key', { StringEqualsIfExists: { 'k:a': 'x' } }, false],
    ['every key must hold', { StringEquals: { 'k:a': 'Value', 'k:b': 'x' } }, false],
    ['Null true holds for an absent key', { Null: { 'k:b': true } }, true],
    ['Null false holds for a present key', { Null: { 'k:a': 'false' } }, true],
    ['Null true fails for a present key', { Null: { 'k:a': 'true' } }, false],
    ['StringLike knows * and ?', { StringLike: { 'k:a': 'V*l?e' } }, true],
    ['StringLike needs the whole text', { StringLike: { 'k:a': 'V*l' } }, false],
    ['StringLike takes no other wildcards', { StringLike: { 'k:a': 'Val.e' } }, false],
    ['StringNotLike is its opposite', { StringNotLike: { 'k:a': '*' } }, false],
    ['no condition holds', {}, true],
  ]
  for (const [claim, block, holds] of cases) {
    test(claim, () => {
      expect(unmetConditions(block, context).length === 0).toBe(holds)
    })
  }

  test('an unmet one names operator, key and both values', async () => {
    const error = await errorOf(() => checkConditions({ StringEquals: { 'k:a': 'x' } }, context))
    expect(error.code).toBe('ERR_CONDITION_UNMET')
    expect(error.details).toEqual({
      operator: 'StringEquals',
      key: 'k:a',
      expected: ['x'],
      actual: 'Value',
    })
  })

  test('a pattern of many stars is answered at once', () => {
    const block = { StringLike: { 'k:a': `${'*a'.repeat(500)}b` } }
    expect(unmetConditions(block, { 'k:a': 'a'.repeat(2000) })).toHaveLength(1)
  })

  test('unknown operators, no values and values that are not text are refused', async () => {
    const wrong: unknown[] = [
      { 'ForAnyValue:StringEquals': { 'k:a': 'x' } },
      { constructor: { 'k:a': 'x' } },
    ]
    wrong.push(
      { StringEquals: { 'k:a': [] } },
      { StringEquals: { 'k:a': 1 } },
      { StringEquals: [] },
    )
    for (const block of wrong) {
      const check = () => unmetConditions(block as ConditionBlock, context)
      await expectCode(check, 'ERR_CONDITION_FORMAT')
    }
  })
})

describe('conditionKeys', () => {
  test('are ImageSha384 and PCR<n> of an enclave', async () => {
    const attestation = await verifyAttestation(document, { roots: [decodePem(pem)], ...runtime })
    const keys = conditionKeys(attestation)
    expect(keys[IMAGE]).toBe(pcrHex(0))
    expect(keys[PCR3]).toBe(pcrHex(3))
    expect(Object.keys(keys)).toHaveLength(17)
  })

  test('are NitroTPMPCR<n> of an instance, and no ImageSha384', async () => {
    const chain = await makeChain()
    const changes = { pcrs: undefined, nitrotpm_pcrs: samplePcrs() }
    const roots = [chain.root.certificate] as const
    const options = { roots, kind: 'nitro-tpm', ...runtime } as const
    const keys = conditionKeys(await verifyAttestation(await makeDocument(chain, changes), options))
    expect(keys['kms:RecipientAttestation:NitroTPMPCR4']).toBe(pcrHex(4))
    expect(keys).not.toHaveProperty(IMAGE)
  })
})

describe('createPolicyVerifier', () => {
  const verify = (policy: object) =>
    createPolicyVerifier({ version: 1, roots: [pem], ...policy }, runtime).verify(document)

  test('verifies with measurements and conditions from the file', async () => {
    const attestation = await verify({
      measurements: [{ PCR0: pcrHex(9) }, { Measurements: { PCR0: pcrHex(0) } }],
      conditions: { StringEqualsIgnoreCase: { [PCR3]: pcrHex(3).toUpperCase() } },
      assurance: ['software-tpm'],
      maxAgeMs: 1000,
    })
    expect(attestation.verified).toBe(true)
  })

  test('takes the roots of a PEM bundle, each of them', async () => {
    const other = toPem((await makeChain()).root.certificate)
    for (const bundle of [pem + other, `# roots\n${other}\n# ours\n${pem}`]) {
      expect((await verify({ roots: [bundle] })).verified).toBe(true)
    }
  })

  test('compares public key and user data, also with empty and with absent ones', async () => {
    expect((await verify({ userData: 'absent', publicKey: 'absent' })).verified).toBe(true)
    await expectCode(() => verify({ userData: '' }), 'ERR_USER_DATA_MISMATCH')
    await expectCode(() => verify({ publicKey: '04' }), 'ERR_PUBLIC_KEY_MISMATCH')
  })

  test('throws when a condition does not hold, and when the document is wrong', async () => {
    const conditions = { StringEquals: { [IMAGE]: pcrHex(1) } }
    await expectCode(() => verify({ conditions }), 'ERR_CONDITION_UNMET')
    await expectCode(() => verify({ roots: ['aws-nitro-g1'] }), 'ERR_CHAIN_ROOT_UNTRUSTED')
    await expectCode(() => verify({ measurements: { PCR0: pcrHex(1) } }), 'ERR_PCR_MISMATCH')
  })
})

describe('the runtime of a policy', () => {
  test('is part of the program: what is wrong with it is a TypeError', () => {
    const policy = { version: 1, roots: [pem] }
    const wrong = [{ maxAgeMs: 1 }, { at: undefined }, { roots: [] }, Object.create({ at: 'now' })]
    for (const one of wrong) {
      expect(() => createPolicyVerifier(policy, one as object)).toThrow(TypeError)
    }
  })
})

describe('the schemas and the parser agree', () => {
  const right: readonly object[] = [
    {},
    { $schema: 'policy.schema.json', kind: 'nitro-tpm', moduleId: 'i-0' },
    { measurements: { PCR0: pcrHex(0), HashAlgorithm: 'Sha384 { ... }' } },
    { measurements: [{ Measurements: { PCR31: pcrHex(0) } }] },
    { conditions: { Null: { [PCR3]: false }, StringNotLikeIfExists: { [PCR3]: ['a', 'b'] } } },
    { publicKey: '', userData: 'absent' },
    { allowDebug: true, assurance: 'hardware-tpm', tpmEvidence: 'require', clockSkewMs: 0 },
  ]
  const wrong: readonly [policy: object, code: AttestationErrorCode][] = [
    [{ version: 2 }, 'ERR_POLICY_FORMAT'],
    [{ roots: [] }, 'ERR_POLICY_FORMAT'],
    [{ roots: [1] }, 'ERR_POLICY_FORMAT'],
    [{ measurment: {} }, 'ERR_POLICY_FORMAT'],
    [{ kind: 'enclave' }, 'ERR_POLICY_FORMAT'],
    [{ allowDebug: 'yes' }, 'ERR_POLICY_FORMAT'],
    [{ userData: 'abc' }, 'ERR_POLICY_FORMAT'],
    [{ publicKey: null }, 'ERR_POLICY_FORMAT'],
    [{ nonce: '00' }, 'ERR_POLICY_FORMAT'],
    [{ assurance: [] }, 'ERR_POLICY_FORMAT'],
    [{ assurance: null }, 'ERR_POLICY_FORMAT'],
    [{ maxAgeMs: -1 }, 'ERR_POLICY_FORMAT'],
    [{ maxAgeMs: null }, 'ERR_POLICY_FORMAT'],
    [{ clockSkewMs: '60000' }, 'ERR_POLICY_FORMAT'],
    [{ conditions: 1 }, 'ERR_POLICY_FORMAT'],
    [{ measurements: {} }, 'ERR_MEASUREMENTS_FORMAT'],
    [{ measurements: { HashAlgorithm: 'Sha384' } }, 'ERR_MEASUREMENTS_FORMAT'],
    [{ measurements: { PCR32: pcrHex(0) } }, 'ERR_MEASUREMENTS_FORMAT'],
    [{ conditions: { NumericEquals: { a: '1' } } }, 'ERR_CONDITION_FORMAT'],
    [{ conditions: { StringEquals: { a: [] } } }, 'ERR_CONDITION_FORMAT'],
  ]
  const ajv = new Ajv({ strict: false })
  const validate = ajv.addSchema(measurementsSchema).compile(policySchema)
  const policyOf = (policy: object) => ({ version: 1, roots: ['aws-nitro-g1'], ...policy })

  test('on what is right', () => {
    for (const policy of right) {
      expect(validate(policyOf(policy)), JSON.stringify(policy)).toBe(true)
      createPolicyVerifier(policyOf(policy))
    }
  })

  test('on what is wrong', async () => {
    for (const [policy, code] of wrong) {
      expect(validate(policyOf(policy)), JSON.stringify(policy)).toBe(false)
      await expectCode(() => createPolicyVerifier(policyOf(policy)), code)
    }
  })
})
