// The condition keys that requests to the broker can have. docs/kms.md lists them.

import type { PolicyDocument } from '@cloister/attestation/policy'

const NAMES = [
  ...['EncryptionContextKeys', 'EncryptionAlgorithm', 'KeySpec', 'KeyUsage', 'KeyOrigin'],
  ...['MultiRegion', 'RequestAlias', 'ResourceAliases', 'DataKeyPairSpec', 'SigningAlgorithm'],
  ...['MessageType', 'MacAlgorithm', 'KeyAgreementAlgorithm', 'GrantOperations'],
  ...['GranteePrincipal', 'RetiringPrincipal', 'GrantConstraintType', 'GrantIsForAWSResource'],
  ...['WrappingAlgorithm', 'WrappingKeySpec', 'ExpirationModel', 'ValidTo'],
  ...['RotationPeriodInDays', 'ScheduleKeyDeletionPendingWindowInDays', 'ReEncryptOnSameKey'],
  ...['BypassPolicyLockoutSafetyCheck', 'CallerAccount', 'RecipientAttestation:ImageSha384'],
].map((name) => `kms:${name}`)
const GLOBAL = [
  ...['PrincipalArn', 'PrincipalAccount', 'PrincipalType', 'TagKeys', 'username', 'userid'],
  ...['SourceIp', 'UserAgent', 'CurrentTime', 'EpochTime', 'SecureTransport'],
  ...['RequestedRegion', 'ViaAWSService'],
].map((name) => `aws:${name}`)
const OWN = ['Assurance', 'RootSha256', 'ModuleId', 'AgeSeconds', 'UnusedNonce'].map(
  (name) => `cloister:RecipientAttestation:${name}`,
)
/** Those with one name; there are also families. */
export const KNOWN_KEYS: readonly string[] = [...NAMES, ...GLOBAL, ...OWN]
const KNOWN = new Set(KNOWN_KEYS.map((name) => name.toLowerCase()))
const FAMILY =
  /^(kms:encryptioncontext:|aws:(principal|resource|request)tag\/)[^]|^kms:recipientattestation:(nitrotpm)?pcr\d+$/
const VIA_SERVICE = 'kms:viaservice'

/** Why a policy that uses it is refused, rather than never met. */
export const NO_VIA_SERVICE =
  'kms:ViaService: no AWS service calls this broker, so the condition says nothing'

/** Whether a request can have this condition key, in lower case. */
export function isKnownKey(key: string): boolean {
  return KNOWN.has(key) || FAMILY.test(key)
}

/** Whether a policy asks which AWS service makes a request. */
export function usesViaService({ statements }: PolicyDocument): boolean {
  return statements.some(({ conditions }) =>
    conditions.some(({ key }) => key.toLowerCase() === VIA_SERVICE),
  )
}
