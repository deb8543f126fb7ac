// The condition keys of a request: AWS's global ones, those of KMS, and of the verified document. Under
// `cloister:` is what AWS has no key for: which root vouches for the document, how its signing
// key is protected, its age and the enclave it comes from.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html

import type { Attestation } from '@cloister/attestation'
import {
  accountOf,
  conditionKeys,
  ROOT_CONDITION_KEY,
  type RequestContext,
} from '@cloister/attestation/policy'
import type { Principal } from '../auth/credentials-file.ts'
import { CONTEXT_KEY, type EncryptionContext } from '../fields.ts'
import { rootDigest } from '../recipient/root-digest.ts'

/** Whether the document contains a nonce of this broker that was not used before; absent without any nonce. */
export const NONCE_KEY = 'cloister:RecipientAttestation:UnusedNonce'

/** What is known of a request before an operation looks at it. */
export interface RequestFacts {
  readonly principal: Principal
  readonly nowMs: number
  readonly region: string
  readonly sourceIp: string
  readonly userAgent: string
  readonly isSecure: boolean
  /** SHA-256 of each root that the broker trusts. */
  readonly roots: readonly string[]
  /** Null without `Recipient`. */
  readonly attestation: Attestation | null
}

/** The keys that every request has. */
export function requestContext(facts: RequestFacts): RequestContext {
  const { principal, nowMs, region, sourceIp, userAgent, isSecure, attestation } = facts
  const tags = Object.entries(principal.tags).map(([name, value]) => [
    `aws:PrincipalTag/${name}`,
    value,
  ])
  return {
    ...(Object.fromEntries(tags) as RequestContext),
    ...principalKeys(principal),
    'aws:CurrentTime': new Date(nowMs).toISOString().replace(/\.\d+/, ''),
    'aws:EpochTime': String(Math.floor(nowMs / 1000)),
    'aws:SecureTransport': String(isSecure),
    'aws:SourceIp': sourceIp,
    'aws:UserAgent': userAgent,
    'aws:RequestedRegion': region,
    'aws:ViaAWSService': 'false',
    'kms:CallerAccount': accountOf(principal.arn),
    ...(attestation === null ? {} : attestationKeys(attestation, nowMs)),
  }
}

/** The keys of an encryption context. */
export function contextKeys(context: EncryptionContext): RequestContext {
  const names = Object.keys(context)
  if (names.length === 0) return {}
  const pairs = Object.entries(context).map(([name, value]) => [`${CONTEXT_KEY}${name}`, value])
  return {
    ...(Object.fromEntries(pairs) as RequestContext),
    'kms:EncryptionContextKeys': names,
  }
}

/** There are no unique ids here: `aws:userid` is made of names. */
function principalKeys({ arn, role }: Principal): RequestContext {
  const [, partition = '', , , account = '', name = ''] = arn.split(':')
  const [kind = '', ...path] = name.split('/')
  const roleArn = role ?? `arn:${partition}:iam::${account}:role/${path[0] ?? ''}`
  const last = path.at(-1) ?? ''
  const common = { 'aws:PrincipalAccount': account }
  switch (kind) {
    case 'assumed-role':
      return { ...common, ...keysOf(roleArn, 'AssumedRole', path.join(':')) }
    case 'federated-user':
      return { ...common, ...keysOf(arn, 'FederatedUser', `${account}:${last}`) }
    case 'user':
      return { ...common, ...keysOf(arn, 'User', last), 'aws:username': last }
    default:
      return { ...common, ...keysOf(arn, 'Account', account) }
  }
}

function keysOf(arn: string, type: string, id: string): RequestContext {
  return { 'aws:PrincipalArn': arn, 'aws:PrincipalType': type, 'aws:userid': id }
}

function attestationKeys(attestation: Attestation, nowMs: number): RequestContext {
  const { assurance, moduleId, timestampMs, certificates } = attestation
  const root = certificates[0]?.der ?? new Uint8Array()
  const prefix = 'cloister:RecipientAttestation:'
  return {
    ...conditionKeys(attestation),
    [`${prefix}Assurance`]: assurance,
    [`${prefix}ModuleId`]: moduleId,
    [`${prefix}AgeSeconds`]: String(Math.max(0, Math.round((nowMs - timestampMs) / 1000))),
    [ROOT_CONDITION_KEY]: rootDigest(root),
  }
}
