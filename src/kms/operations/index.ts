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
import { createKey } from './create-key.ts'
import { createNonce } from './create-nonce.ts'
import { deleteImportedKeyMaterial } from './delete-material.ts'
import { cancelKeyDeletion, scheduleKeyDeletion } from './deletion.ts'
import { retireGrant, revokeGrant } from './end-grants.ts'
import { createGrant, listGrants, listRetirableGrants } from './grants.ts'
import { getParametersForImport, importKeyMaterial } from './import-material.ts'
import { generateMac, verifyMac } from './macs.ts'
import {
  describeKey,
  disableKey,
  enableKey,
  listKeys,
  updateKeyDescription,
} from './manage-keys.ts'
import { getKeyPolicy, listKeyPolicies, putKeyPolicy } from './policies.ts'
import {
  disableKeyRotation,
  enableKeyRotation,
  getKeyRotationStatus,
  listKeyRotations,
  rotateKeyOnDemand,
} from './rotation.ts'
import { deriveSharedSecret } from './shared-secret.ts'
import { getPublicKey, sign, verify } from './signing.ts'
import { listResourceTags, tagResource, untagResource } from './tags.ts'

export const OPERATIONS: ReadonlyMap<string, Operation> = new Map(
  Object.entries({
    CancelKeyDeletion: cancelKeyDeletion,
    CreateAlias: createAlias,
    CreateGrant: createGrant,
    CreateKey: createKey,
    Decrypt: decrypt,
    DeleteAlias: deleteAlias,
    DeleteImportedKeyMaterial: deleteImportedKeyMaterial,
    DeriveSharedSecret: deriveSharedSecret,
    DescribeKey: describeKey,
    DisableKey: disableKey,
    DisableKeyRotation: disableKeyRotation,
    EnableKey: enableKey,
    EnableKeyRotation: enableKeyRotation,
    Encrypt: encrypt,
    GenerateDataKey: generateDataKey,
    GenerateDataKeyPair: generateDataKeyPair,
    GenerateDataKeyPairWithoutPlaintext: generateDataKeyPairWithoutPlaintext,
    GenerateDataKeyWithoutPlaintext: generateDataKeyWithoutPlaintext,
    GenerateMac: generateMac,
    GenerateRandom: generateRandom,
    GetKeyPolicy: getKeyPolicy,
    GetKeyRotationStatus: getKeyRotationStatus,
    GetParametersForImport: getParametersForImport,
    GetPublicKey: getPublicKey,
    ImportKeyMaterial: importKeyMaterial,
    ListAliases: listAliases,
    ListGrants: listGrants,
    ListKeyPolicies: listKeyPolicies,
    ListKeyRotations: listKeyRotations,
    ListKeys: listKeys,
    ListResourceTags: listResourceTags,
    ListRetirableGrants: listRetirableGrants,
    PutKeyPolicy: putKeyPolicy,
    ReEncrypt: reEncrypt,
    RetireGrant: retireGrant,
    RevokeGrant: revokeGrant,
    RotateKeyOnDemand: rotateKeyOnDemand,
    ScheduleKeyDeletion: scheduleKeyDeletion,
    Sign: sign,
    TagResource: tagResource,
    UntagResource: untagResource,
    UpdateAlias: updateAlias,
    UpdateKeyDescription: updateKeyDescription,
    Verify: verify,
    VerifyMac: verifyMac,
  }),
)

/** Operations that AWS KMS does not have, by `X-Amz-Target`. */
export const EXTENSIONS: ReadonlyMap<string, Operation> = new Map([
  ['CloisterService.CreateNonce', createNonce],
])

/** Operations of AWS KMS that this broker does not have. */
export const MISSING: ReadonlySet<string> = new Set([
  ...['ConnectCustomKeyStore', 'CreateCustomKeyStore', 'Decapsulate', 'DeleteCustomKeyStore'],
  ...['DescribeCustomKeyStores', 'DisconnectCustomKeyStore', 'Encapsulate', 'GetKeyLastUsage'],
  ...['ReplicateKey', 'UpdateCustomKeyStore', 'UpdatePrimaryRegion'],
])
