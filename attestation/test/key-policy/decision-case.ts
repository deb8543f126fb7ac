// What a decision of the table is made of, and where AWS states the rule that it follows from.

import type { AccessRequest } from '../../src/policy/index.ts'

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
export const PCR = 'a1'.repeat(48)
export const PCR0 = 'kms:RecipientAttestation:PCR0'
export const IMAGE = 'kms:RecipientAttestation:ImageSha384'
export const TPM4 = 'kms:RecipientAttestation:NitroTPMPCR4'

export type Fields = Readonly<Record<string, unknown>>
export const allow = (fields: Fields = {}): Fields => ({
  Effect: 'Allow',
  Principal: { AWS: APP },
  Action: 'kms:Decrypt',
  Resource: '*',
  ...fields,
})
export const deny = (fields: Fields = {}): Fields => allow({ Effect: 'Deny', ...fields })
/** The same without some elements. */
export const without = (fields: Fields, ...names: readonly string[]): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)))
export const own = (fields: Fields = {}): Fields => without(allow(fields), 'Principal')
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

export function decision(
  source: Source,
  claim: string,
  allowed: boolean,
  given: Given,
): DecisionCase {
  const { key = [allow()], identity = [], request = {}, version = '2012-10-17' } = given
  return {
    ...{ claim, source, allowed },
    key: key && { ...policy(...key), Version: version },
    identity: identity.length === 0 ? [] : [policy(...identity)],
    request: { ...base, ...request },
  }
}
