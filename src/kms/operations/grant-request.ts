// What CreateGrant asks for, read and checked.

import {
  isPrincipalArn,
  type GrantContext,
  type RequestContext,
} from '@cloister/attestation/policy'
import { contextKeys } from '../access/request-context.ts'
import type { KeySpec, KeyUsage } from '../crypto/key-specs.ts'
import { isAsymmetric } from '../crypto/key-specs.ts'
import type { Fields } from '../fields.ts'
import { invalid, KmsError } from '../kms-error.ts'
import type { GrantRecord } from '../store/grant-table.ts'

/** A grant that is asked for. */
export type NewGrant = Omit<GrantRecord, 'id' | 'keyId' | 'createdMs'>

const COMMON = ['CreateGrant', 'RetireGrant', 'DescribeKey']
const SYMMETRIC = [
  ...['Decrypt', 'Encrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext'],
  ...['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext', 'ReEncryptFrom', 'ReEncryptTo'],
]
const BY_USAGE: Readonly<Record<KeyUsage, readonly string[]>> = {
  ENCRYPT_DECRYPT: ['Decrypt', 'Encrypt', 'ReEncryptFrom', 'ReEncryptTo'],
  SIGN_VERIFY: ['Sign', 'Verify'],
  GENERATE_VERIFY_MAC: ['GenerateMac', 'VerifyMac'],
  KEY_AGREEMENT: ['DeriveSharedSecret'],
}
/** Every operation that a grant can allow on AWS, also those that no key here has. */
const OPERATIONS = [
  ...['Encapsulate', 'Decapsulate'],
  ...new Set([...SYMMETRIC, ...Object.values(BY_USAGE).flat(), 'GetPublicKey', ...COMMON]),
]
const PRINCIPAL = /^[\w+=,.@:/-]+$/
const NAME = /^[a-zA-Z0-9:/_-]+$/
/** AWS's bounds of a constraint: pairs, and characters of a name or value. */
const [MAX_PAIRS, MAX_CHARACTERS] = [8, 384]

/** Reads the fields that describe a grant. */
export function readGrant(fields: Fields): NewGrant {
  refuseServices(fields)
  const grantee = readArn(fields, 'GranteePrincipal')
  if (grantee === undefined) throw invalid('GranteePrincipal is missing')
  const constraints = fields.structure('Constraints')
  const contextEquals = readConstraint(constraints, 'EncryptionContextEquals')
  const contextSubset = readConstraint(constraints, 'EncryptionContextSubset')
  constraints?.refuse({ SourceArn: 'no AWS service calls this broker for a resource' })
  constraints?.end()
  if (contextEquals !== null && contextSubset !== null)
    throw invalid('Specify either EncryptionContextEquals or EncryptionContextSubset, not both.')
  return {
    ...{ grantee, contextEquals, contextSubset },
    name: fields.text('Name', 256, NAME) ?? '',
    retiring: readArn(fields, 'RetiringPrincipal') ?? '',
    operations: [...new Set(fields.requiredChoices('Operations', OPERATIONS))].sort(),
  }
}

/** Grants to services of AWS, of which none calls this broker. */
export function refuseServices(fields: Fields): void {
  const reason = 'no AWS service calls this broker'
  fields.refuse({ GranteeServicePrincipal: reason, RetiringServicePrincipal: reason })
}

/** The condition keys of a grant that is asked for. */
export function grantKeys(grant: NewGrant): RequestContext {
  const { operations, grantee, retiring, contextEquals, contextSubset } = grant
  const type = contextEquals
    ? 'EncryptionContextEquals'
    : contextSubset
      ? 'EncryptionContextSubset'
      : null
  return {
    'kms:GrantOperations': operations,
    'kms:GranteePrincipal': grantee,
    'kms:GrantIsForAWSResource': 'false',
    ...(retiring === '' ? {} : { 'kms:RetiringPrincipal': retiring }),
    ...(type === null ? {} : { 'kms:GrantConstraintType': type }),
    ...contextKeys(contextEquals ?? contextSubset ?? {}),
  }
}

/** @throws KmsError ValidationException when the key cannot do what the grant is to allow. */
export function checkGrantFor(
  { operations, contextEquals, contextSubset }: NewGrant,
  { spec, usage }: { readonly spec: KeySpec; readonly usage: KeyUsage },
): void {
  const isSymmetric = spec === 'SYMMETRIC_DEFAULT'
  const possible = [
    ...(isSymmetric ? SYMMETRIC : BY_USAGE[usage]),
    ...(isAsymmetric(spec) ? ['GetPublicKey'] : []),
    ...COMMON,
  ]
  const wrong = operations.find((one) => !possible.includes(one))
  if (wrong !== undefined)
    throw invalid(`Operation ${wrong} is not valid for key spec ${spec} and key usage ${usage}.`)
  if ((contextEquals ?? contextSubset) !== null && !isSymmetric)
    throw invalid(
      'Encryption context constraints are supported only for symmetric encryption keys.',
    )
}

/** Whether a grant allows no more than its parent: what the parent's grantee can pass on. */
export function isWithin(grant: NewGrant, parent: NewGrant): boolean {
  const { contextEquals, contextSubset } = parent
  const isPart = grant.operations.every((one) => parent.operations.includes(one))
  if (contextEquals !== null) return isPart && isEqual(contextEquals, grant.contextEquals)
  if (contextSubset === null) return isPart
  const own = grant.contextEquals ?? grant.contextSubset ?? {}
  return isPart && Object.entries(contextSubset).every(([name, value]) => own[name] === value)
}

function isEqual(a: GrantContext, b: GrantContext | null): boolean {
  if (b === null) return false
  const [ours, theirs] = [Object.entries(a), Object.entries(b)]
  return ours.length === theirs.length && ours.every(([name, value]) => b[name] === value)
}

function readConstraint(constraints: Fields | undefined, name: string): GrantContext | null {
  const context = constraints?.context(name) ?? {}
  const pairs = Object.entries(context)
  if (pairs.length === 0) return null
  const isLong = pairs.flat().some((text) => text.length > MAX_CHARACTERS)
  if (pairs.length > MAX_PAIRS || isLong)
    throw invalid(
      `${name} has more than 8 pairs, or a name or value with more than 384 characters.`,
    )
  return context
}

function readArn(fields: Fields, name: string): string | undefined {
  const arn = fields.text(name, 256, PRINCIPAL)
  if (arn === undefined || isPrincipalArn(arn)) return arn
  throw new KmsError('InvalidArnException', `ARN does not refer to a valid principal: ${arn}`)
}
