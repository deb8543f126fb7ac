// Encrypt, Decrypt, ReEncrypt with symmetric keys.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html

import type { RequestContext } from '@cloister/attestation/policy'
import { contextKeys } from '../access/request-context.ts'
import { keyIdOf, MAX_BLOB_BYTES, openBlob, sealBlob } from '../crypto/ciphertext-blob.ts'
import type { EncryptionContext, Fields } from '../fields.ts'
import { KmsError } from '../kms-error.ts'
import { base64, endDryRun, type Call, type Operation } from './call.ts'
import { keyArn, MAX_KEY_ID, type FoundKey } from './key-names.ts'

const MAX_PLAINTEXT_BYTES = 4096
const ALGORITHMS = [
  'SYMMETRIC_DEFAULT',
  'RSAES_OAEP_SHA_1',
  'RSAES_OAEP_SHA_256',
  'SM2PKE',
] as const
const SYMMETRIC = 'SYMMETRIC_DEFAULT'

export const encrypt: Operation = {
  run(call) {
    const { fields } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const plaintext = fields.requiredBlob('Plaintext', MAX_PLAINTEXT_BYTES)
    const context = fields.context('EncryptionContext')
    const isDryRun = readCommon(fields, 'EncryptionAlgorithm')
    const found = call.key(keyId)
    call.subject = { ...call.subject, encryptionContext: context }
    call.authorizeKey('kms:Encrypt', found, encryptionKeys(context))
    checkUsable(call, found)
    endDryRun(isDryRun)
    return {
      CiphertextBlob: base64(sealFor(call, found, { plaintext, context })),
      KeyId: keyArn(found.key.id, call.place),
      EncryptionAlgorithm: SYMMETRIC,
    }
  },
}

export const decrypt: Operation = {
  takesRecipient: true,
  run(call) {
    const { fields } = call
    const blob = fields.requiredBlob('CiphertextBlob', MAX_BLOB_BYTES)
    const keyId = fields.text('KeyId', MAX_KEY_ID)
    const context = fields.context('EncryptionContext')
    const isDryRun = readCommon(fields, 'EncryptionAlgorithm')
    const found = keyOfBlob(call, blob, keyId)
    call.subject = { ...call.subject, encryptionContext: context }
    call.authorizeKey('kms:Decrypt', found, encryptionKeys(context))
    checkUsable(call, found)
    const plaintext = openFrom(call, found, { blob, context })
    endDryRun(isDryRun)
    return {
      ...call.answerSecret('Plaintext', plaintext),
      KeyId: keyArn(found.key.id, call.place),
      EncryptionAlgorithm: SYMMETRIC,
    }
  },
}

export const reEncrypt: Operation = {
  run(call) {
    const { fields, place } = call
    const blob = fields.requiredBlob('CiphertextBlob', MAX_BLOB_BYTES)
    const sourceId = fields.text('SourceKeyId', MAX_KEY_ID)
    const destinationId = fields.requiredText('DestinationKeyId', MAX_KEY_ID)
    const from = fields.context('SourceEncryptionContext')
    const to = fields.context('DestinationEncryptionContext')
    checkAlgorithm(fields, 'SourceEncryptionAlgorithm')
    const isDryRun = readCommon(fields, 'DestinationEncryptionAlgorithm')
    const destination = call.key(destinationId)
    const source = keyOfBlob(call, blob, sourceId)
    call.subject = { ...call.subject, encryptionContext: from }
    const same = { 'kms:ReEncryptOnSameKey': String(source.key.id === destination.key.id) }
    call.authorizeKey('kms:ReEncryptFrom', source, { ...encryptionKeys(from), ...same })
    call.authorizeKey('kms:ReEncryptTo', destination, { ...encryptionKeys(to), ...same })
    for (const found of [source, destination]) checkUsable(call, found)
    const plaintext = openFrom(call, source, { blob, context: from })
    endDryRun(isDryRun)
    return {
      CiphertextBlob: base64(sealFor(call, destination, { plaintext, context: to })),
      SourceKeyId: keyArn(source.key.id, place),
      KeyId: keyArn(destination.key.id, place),
      SourceEncryptionAlgorithm: SYMMETRIC,
      DestinationEncryptionAlgorithm: SYMMETRIC,
    }
  },
}

/** The condition keys of an encryption with this context. */
export function encryptionKeys(context: EncryptionContext): RequestContext {
  return { 'kms:EncryptionAlgorithm': SYMMETRIC, ...contextKeys(context) }
}

/** @throws KmsError DisabledException. */
export function checkUsable({ place }: Call, { key }: FoundKey): void {
  if (!key.enabled) throw new KmsError('DisabledException', `${keyArn(key.id, place)} is disabled.`)
}

/** Encrypts under a key that was authorized. */
export function sealFor(
  { store }: Call,
  { key }: FoundKey,
  { plaintext, context }: { readonly plaintext: Uint8Array; readonly context: EncryptionContext },
): Uint8Array {
  return sealBlob(plaintext, { keyId: key.id, material: store.keys.material(key.id), context })
}

function openFrom(
  { store }: Call,
  { key }: FoundKey,
  { blob, context }: { readonly blob: Uint8Array; readonly context: EncryptionContext },
): Uint8Array {
  return openBlob(blob, { keyId: key.id, material: store.keys.material(key.id), context })
}

/** The key that a blob names, which must be the one the request names, where it names one. */
function keyOfBlob(call: Call, blob: Uint8Array, keyId: string | undefined): FoundKey {
  const id = keyIdOf(blob)
  const named = keyId === undefined ? undefined : call.key(keyId)
  if (named !== undefined && named.key.id !== id)
    throw new KmsError(
      'IncorrectKeyException',
      'The key ID in the request does not identify a KMS key that can perform this operation.',
    )
  if (named !== undefined) return named
  if (call.store.keys.find(id) !== undefined) return call.key(id)
  throw new KmsError(
    'AccessDeniedException',
    'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.',
  )
}

function readCommon(fields: Fields, algorithm: string): boolean {
  checkAlgorithm(fields, algorithm)
  fields.noGrantTokens()
  const isDryRun = fields.flag('DryRun')
  fields.end()
  return isDryRun
}

function checkAlgorithm(fields: Fields, name: string): void {
  const algorithm = fields.choice(name, ALGORITHMS) ?? SYMMETRIC
  if (algorithm === SYMMETRIC) return
  const message = `${algorithm} is not an algorithm of a SYMMETRIC_DEFAULT key`
  throw new KmsError('InvalidKeyUsageException', message)
}
