// GetParametersForImport and ImportKeyMaterial. After its material was deleted or has expired, a key of origin
// EXTERNAL accepts the same material only; a symmetric key also accepts new material to rotate to.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_ImportKeyMaterial.html

import { createPrivateKey } from 'node:crypto'
import { invalidCiphertext, MAX_BLOB_BYTES } from '../crypto/ciphertext-blob.ts'
import {
  canUnwrap,
  unwrapMaterial,
  WRAPPING_ALGORITHMS,
  WRAPPING_SPECS,
  type WrappingAlgorithm,
} from '../crypto/import-wrapping.ts'
import { readMaterial } from '../crypto/imported-material.ts'
import { generatePair } from '../crypto/key-pair.ts'
import type { KeyMaterial } from '../crypto/key-material.ts'
import { invalid, KmsError, unsupported } from '../kms-error.ts'
import { DAY_MS } from '../rotate-key.ts'
import { importMaterial } from '../imported-key.ts'
import { base64, type Call, type Operation } from './call.ts'
import { keyArn, MAX_KEY_ID, type FoundKey } from './key-names.ts'
import { checkState, checkImported } from './key-state.ts'

const MODELS = ['KEY_MATERIAL_EXPIRES', 'KEY_MATERIAL_DOES_NOT_EXPIRE'] as const
const TYPES = ['NEW_KEY_MATERIAL', 'EXISTING_KEY_MATERIAL'] as const
const MATERIAL_ID = /^[a-f0-9]{64}$/
const DESCRIPTION = /^[a-zA-Z0-9:/_\s.-]+$/

export const getParametersForImport: Operation = {
  async prepare(call) {
    const pair = await generatePair(authorizedWrapping(call).spec)
    return (again) => {
      const { found, algorithm } = authorizedWrapping(again)
      const validToMs = again.nowMs + DAY_MS
      const privateKey = base64(pair.privateKey)
      const token = { keyId: found.key.id, algorithm, validToMs, privateKey }
      return {
        KeyId: keyArn(found.key.id, again.place),
        ImportToken: base64(again.store.importTokens.seal(token)),
        PublicKey: base64(pair.publicKey),
        ParametersValidTo: validToMs / 1000,
      }
    }
  },
}

interface Wrapping {
  readonly found: FoundKey
  readonly algorithm: WrappingAlgorithm
  readonly spec: Exclude<(typeof WRAPPING_SPECS)[number], 'SM2'>
}

function authorizedWrapping(call: Call): Wrapping {
  const { fields } = call
  const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
  const algorithm = fields.requiredChoice('WrappingAlgorithm', WRAPPING_ALGORITHMS)
  const spec = fields.requiredChoice('WrappingKeySpec', WRAPPING_SPECS)
  fields.end()
  const found = call.key(keyId, false)
  call.authorizeKey('kms:GetParametersForImport', found, {
    'kms:WrappingAlgorithm': algorithm,
    'kms:WrappingKeySpec': spec,
  })
  checkTakesMaterial(call, found)
  if (!canUnwrap(algorithm) || spec === 'SM2')
    throw unsupported(
      `WrappingAlgorithm ${algorithm} with ${spec}: this broker does not support it`,
    )
  return { found, algorithm, spec }
}

export const importKeyMaterial: Operation = {
  run(call) {
    const { fields, nowMs, place, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const token = fields.requiredBlob('ImportToken', MAX_BLOB_BYTES)
    const encrypted = fields.requiredBlob('EncryptedKeyMaterial', MAX_BLOB_BYTES)
    const type = fields.choice('ImportType', TYPES)
    const materialId = fields.text('KeyMaterialId', 64, MATERIAL_ID)
    const description = fields.text('KeyMaterialDescription', 256, DESCRIPTION) ?? ''
    const { model, validToMs } = readExpiration(call)
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:ImportKeyMaterial', found, {
      'kms:ExpirationModel': model,
      ...(validToMs === null ? {} : { 'kms:ValidTo': new Date(validToMs).toISOString() }),
    })
    checkTakesMaterial(call, found)
    const material = open(call, found, { token, encrypted })
    const id = importMaterial(store, found.key, {
      ...{ material, nowMs, validToMs, description, materialId },
      isNew: type === 'NEW_KEY_MATERIAL',
    })
    return { KeyId: keyArn(found.key.id, place), KeyMaterialId: id }
  },
}

function checkTakesMaterial({ place }: Call, found: FoundKey): void {
  checkImported(found, place)
  checkState(found, place, ['Enabled', 'Disabled', 'PendingImport'])
}

interface Expiration {
  readonly model: (typeof MODELS)[number]
  readonly validToMs: number | null
}

function readExpiration({ fields, nowMs }: Call): Expiration {
  const model = fields.choice('ExpirationModel', MODELS) ?? 'KEY_MATERIAL_EXPIRES'
  const validToMs = fields.timestamp('ValidTo') ?? null
  const expires = model === 'KEY_MATERIAL_EXPIRES'
  if (expires && validToMs === null)
    throw invalid('A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES')
  if (!expires && validToMs !== null)
    throw invalid(
      'A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE',
    )
  const isInBounds = validToMs === null || (validToMs > nowMs && validToMs <= nowMs + 365 * DAY_MS)
  if (!isInBounds) throw invalid('ValidTo must be a time within the next 365 days.')
  return { model, validToMs }
}

function open(
  { nowMs, store }: Call,
  { key }: FoundKey,
  { token, encrypted }: { readonly token: Uint8Array; readonly encrypted: Uint8Array },
): KeyMaterial {
  const opened = store.importTokens.open(token)
  if (opened?.keyId !== key.id)
    throw new KmsError('InvalidImportTokenException', 'The import token is not valid for this key.')
  if (opened.validToMs <= nowMs)
    throw new KmsError('ExpiredImportTokenException', 'The import token has expired.')
  const pkcs8 = Buffer.from(opened.privateKey, 'base64')
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const bytes = unwrapMaterial(encrypted, privateKey, opened.algorithm as WrappingAlgorithm)
  if (bytes === null) throw invalidCiphertext()
  const material = readMaterial(bytes, key.spec)
  if (material === null)
    throw new KmsError(
      'IncorrectKeyMaterialException',
      `The key material is not valid for key spec ${key.spec}.`,
    )
  return material
}
