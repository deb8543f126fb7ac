// The operations of the API by name. What AWS has and this broker does not is listed too: it is refused in
// words and not taken for a misspelling.

import { createAlias, deleteAlias, listAliases, updateAlias } from './aliases.ts'
import type { Operation } from './call.ts'
import { decrypt, encrypt, reEncrypt } from './cryptography.ts'
import {
  generateDataKey,
  generateDataKeyPair,
  generateDataKeyPairWithoutPlaintext,
  generateDataKeyWithoutPlaintext,
  generateRandom,
} from './data-keys.ts'
import { createKey, describeKey, disableKey, enableKey, listKeys } from './manage-keys.ts'
import { getKeyPolicy, listKeyPolicies, putKeyPolicy } from './policies.ts'

export const OPERATIONS: ReadonlyMap<string, Operation> = new Map(
  Object.entries({
    CreateAlias: createAlias,
    CreateKey: createKey,
    Decrypt: decrypt,
    DeleteAlias: deleteAlias,
    DescribeKey: describeKey,
    DisableKey: disableKey,
    EnableKey: enableKey,
    Encrypt: encrypt,
    GenerateDataKey: generateDataKey,
    GenerateDataKeyPair: generateDataKeyPair,
    GenerateDataKeyPairWithoutPlaintext: generateDataKeyPairWithoutPlaintext,
    GenerateDataKeyWithoutPlaintext: generateDataKeyWithoutPlaintext,
    GenerateRandom: generateRandom,
    GetKeyPolicy: getKeyPolicy,
    ListAliases: listAliases,
    ListKeyPolicies: listKeyPolicies,
    ListKeys: listKeys,
    PutKeyPolicy: putKeyPolicy,
    ReEncrypt: reEncrypt,
    UpdateAlias: updateAlias,
  }),
)

/** Operations of AWS KMS that this broker does not have. */
export const MISSING: ReadonlySet<string> = new Set([
  ...['CancelKeyDeletion', 'ConnectCustomKeyStore', 'CreateCustomKeyStore', 'CreateGrant'],
  ...['DeleteCustomKeyStore', 'DeleteImportedKeyMaterial', 'DeriveSharedSecret'],
  ...['DescribeCustomKeyStores', 'DisableKeyRotation', 'DisconnectCustomKeyStore'],
  ...['EnableKeyRotation', 'GenerateMac', 'GetKeyRotationStatus', 'GetParametersForImport'],
  ...['GetPublicKey', 'ImportKeyMaterial', 'ListGrants', 'ListKeyRotations', 'ListResourceTags'],
  ...['ListRetirableGrants', 'ReplicateKey', 'RetireGrant', 'RevokeGrant', 'RotateKeyOnDemand'],
  ...['ScheduleKeyDeletion', 'Sign', 'TagResource', 'UntagResource', 'UpdateCustomKeyStore'],
  ...['UpdateKeyDescription', 'UpdatePrimaryRegion', 'Verify', 'VerifyMac'],
])
