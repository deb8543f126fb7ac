// A key as CreateKey, DescribeKey and GetPublicKey show it.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_KeyMetadata.html

import { algorithmsOf } from '../crypto/key-specs.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { MaterialRecord } from '../store/material-table.ts'
import type { Call } from './call.ts'
import { keyArn } from './key-names.ts'
import { stateOf } from './key-state.ts'

type Fields = Readonly<Record<string, unknown>>

const ALGORITHM_FIELDS = {
  ENCRYPT_DECRYPT: 'EncryptionAlgorithms',
  SIGN_VERIFY: 'SigningAlgorithms',
  GENERATE_VERIFY_MAC: 'MacAlgorithms',
  KEY_AGREEMENT: 'KeyAgreementAlgorithms',
} as const

/** `KeyMetadata` of a key. */
export function metadataOf(key: KeyRecord, { store, place }: Call): Fields {
  const state = stateOf(key)
  const material = store.materials.find(key.id, key.material)
  const isSymmetric = key.spec === 'SYMMETRIC_DEFAULT'
  return {
    AWSAccountId: place.account,
    KeyId: key.id,
    Arn: keyArn(key.id, place),
    CreationDate: key.createdMs / 1000,
    Enabled: state === 'Enabled',
    Description: key.description,
    KeyState: state,
    Origin: key.origin,
    KeyManager: 'CUSTOMER',
    MultiRegion: false,
    ...kindOf(key),
    ...(key.deletionMs === null ? {} : { DeletionDate: key.deletionMs / 1000 }),
    ...(material && key.origin === 'EXTERNAL' && !key.pendingImport ? expirationOf(material) : {}),
    ...(isSymmetric && material ? { CurrentKeyMaterialId: material.id } : {}),
  }
}

/** Spec, usage and algorithms. `CustomerMasterKeySpec` is their old name, which SDKs still read. */
export function kindOf({ spec, usage }: KeyRecord): Fields {
  return {
    KeySpec: spec,
    CustomerMasterKeySpec: spec,
    KeyUsage: usage,
    [ALGORITHM_FIELDS[usage]]: algorithmsOf(spec, usage),
  }
}

/** When imported material ends, if it does. */
export function expirationOf({ validToMs }: MaterialRecord): Fields {
  if (validToMs === null) return { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }
  return { ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: validToMs / 1000 }
}
