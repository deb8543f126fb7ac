// Encrypt, Decrypt, ReEncrypt.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html

import { MAX_BLOB_BYTES, readBlob } from '../crypto/ciphertext-blob.ts'
import type { Fields } from '../fields.ts'
import { invalid, KmsError } from '../kms-error.ts'
import { base64, dryRunSucceeded, endDryRun, type Call, type Operation } from './call.ts'
import {
  decryptWith,
  encryptionKeys,
  encryptWith,
  readEncryption,
  SYMMETRIC,
  type Encryption,
} from './encryption.ts'
import { keyArn, MAX_KEY_ID, type FoundKey } from './key-names.ts'
import { checkUsable } from './key-state.ts'

/** Of a message, too. */
export const MAX_PLAINTEXT_BYTES = 4096

export const encrypt: Operation = {
  run(call) {
    const { fields, store, place } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const plaintext = fields.requiredBlob('Plaintext', MAX_PLAINTEXT_BYTES)
    const encryption = readEncryption(fields, '')
    const isDryRun = readCommon(call)
    const found = call.key(keyId)
    call.subject = { ...call.subject, encryptionContext: encryption.context }
    call.authorizeKey('kms:Encrypt', found, encryptionKeys(encryption))
    checkEncrypts(call, found, { operation: 'Encrypt', ...encryption })
    const blob = encryptWith(store, found.key, { ...encryption, plaintext })
    endDryRun(isDryRun)
    return {
      CiphertextBlob: base64(blob),
      KeyId: keyArn(found.key.id, place),
      EncryptionAlgorithm: encryption.algorithm,
    }
  },
}

export const decrypt: Operation = {
  takesRecipient: true,
  run(call) {
    const { fields, store, place } = call
    const blob = readBlobField(fields)
    const keyId = fields.text('KeyId', MAX_KEY_ID)
    const encryption = readEncryption(fields, '')
    const isDryRun = readCommon(call)
    const found = sourceKey(call, { blob, keyId, encryption })
    call.subject = { ...call.subject, encryptionContext: encryption.context }
    call.authorizeKey('kms:Decrypt', found, encryptionKeys(encryption))
    checkEncrypts(call, found, { operation: 'Decrypt', ...encryption })
    if (blob === null) throw dryRunSucceeded()
    const plaintext = decryptWith(store, found.key, { ...encryption, blob })
    endDryRun(isDryRun)
    return {
      ...call.answerSecret('Plaintext', plaintext),
      KeyId: keyArn(found.key.id, place),
      EncryptionAlgorithm: encryption.algorithm,
      ...materialIdOf('KeyMaterialId', call, { blob, found }),
    }
  },
}

export const reEncrypt: Operation = {
  run(call) {
    const { fields, place, store } = call
    const blob = readBlobField(fields)
    const keyId = fields.text('SourceKeyId', MAX_KEY_ID)
    const destinationId = fields.requiredText('DestinationKeyId', MAX_KEY_ID)
    const [from, to] = [readEncryption(fields, 'Source'), readEncryption(fields, 'Destination')]
    const isDryRun = readCommon(call)
    const destination = call.key(destinationId)
    const source = sourceKey(call, { blob, keyId, encryption: from })
    const destinationKey = keyArn(destination.key.id, place)
    call.subject = { ...call.subject, destinationKey, encryptionContext: from.context }
    const same = { 'kms:ReEncryptOnSameKey': String(source.key.id === destination.key.id) }
    call.authorizeKey('kms:ReEncryptFrom', source, { ...encryptionKeys(from), ...same })
    call.authorizeKey('kms:ReEncryptTo', destination, { ...encryptionKeys(to), ...same })
    checkEncrypts(call, source, { operation: 'ReEncrypt', ...from })
    checkEncrypts(call, destination, { operation: 'ReEncrypt', ...to })
    if (blob === null) throw dryRunSucceeded()
    const plaintext = decryptWith(store, source.key, { ...from, blob })
    const renewed = encryptWith(store, destination.key, { ...to, plaintext })
    endDryRun(isDryRun)
    return {
      CiphertextBlob: base64(renewed),
      SourceKeyId: keyArn(source.key.id, place),
      KeyId: keyArn(destination.key.id, place),
      SourceEncryptionAlgorithm: from.algorithm,
      DestinationEncryptionAlgorithm: to.algorithm,
      ...materialIdOf('SourceKeyMaterialId', call, { blob, found: source }),
      ...materialIdOf('DestinationKeyMaterialId', call, { blob: renewed, found: destination }),
    }
  },
}

/** Null in a dry run that leaves the ciphertext out of the question. */
function readBlobField(fields: Fields): Uint8Array | null {
  const ignores = fields.choices('DryRunModifiers', ['IGNORE_CIPHERTEXT']).length > 0
  if (ignores && !fields.flag('DryRun'))
    throw invalid('DryRunModifiers can only be used when DryRun is true.')
  const blob = fields.blob('CiphertextBlob', MAX_BLOB_BYTES)
  return ignores ? null : (blob ?? fields.requiredBlob('CiphertextBlob', MAX_BLOB_BYTES))
}

/** Which material of a symmetric key a ciphertext is of. */
export function materialIdOf(
  field: string,
  { store }: Call,
  { blob, found: { key } }: { readonly blob: Uint8Array; readonly found: FoundKey },
): Readonly<Record<string, string>> {
  if (key.spec !== SYMMETRIC) return {}
  const material = store.materials.find(key.id, readBlob(blob).number)
  return material ? { [field]: material.id } : {}
}

function checkEncrypts(
  { place }: Call,
  found: FoundKey,
  { operation, algorithm }: Encryption & { readonly operation: string },
): void {
  checkUsable(found, place, { operation, usage: 'ENCRYPT_DECRYPT', algorithm })
}

interface Source {
  /** Null when it does not matter. */
  readonly blob: Uint8Array | null
  readonly keyId: string | undefined
  readonly encryption: Encryption
}

/** The key that a blob names, which must be the one the request names, where it names one. */
function sourceKey(call: Call, { blob, keyId, encryption: { algorithm } }: Source): FoundKey {
  if (blob === null || algorithm !== SYMMETRIC) {
    if (keyId !== undefined) return call.key(keyId)
    throw invalid('A key ID is required with an asymmetric algorithm and with IGNORE_CIPHERTEXT.')
  }
  const id = readBlob(blob).keyId
  const named = keyId === undefined ? undefined : call.key(keyId)
  if (named !== undefined && named.key.id !== id)
    throw new KmsError(
      'IncorrectKeyException',
      'The key ID in the request does not identify a CMK that can perform this operation.',
    )
  if (named !== undefined) return named
  if (call.store.keys.find(id) !== undefined) return call.key(id)
  throw new KmsError(
    'AccessDeniedException',
    'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.',
  )
}

function readCommon(call: Call): boolean {
  call.readGrantTokens()
  const isDryRun = call.fields.flag('DryRun')
  call.fields.end()
  return isDryRun
}
