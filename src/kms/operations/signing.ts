// Sign, Verify, GetPublicKey. Sign takes `Recipient`, which AWS's does not: the document's condition keys count
// then, and the signature is encrypted for the document's key.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html

import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../crypto/key-specs.ts'
import { digestBytes, signWith, verifyWith, type Signable } from '../crypto/signatures.ts'
import { MAX_BLOB_BYTES } from '../crypto/ciphertext-blob.ts'
import { invalid, KmsError } from '../kms-error.ts'
import { base64, endDryRun, type Call, type Operation } from './call.ts'
import { MAX_PLAINTEXT_BYTES } from './cryptography.ts'
import { privateKeyOf, publicKeyOf } from './encryption.ts'
import { kindOf } from './key-metadata.ts'
import { keyArn, MAX_KEY_ID, type FoundKey } from './key-names.ts'
import { checkAsymmetric, checkState, checkUsable } from './key-state.ts'

const MESSAGE_TYPES = ['RAW', 'DIGEST', 'EXTERNAL_MU'] as const

export const sign: Operation = {
  takesRecipient: true,
  run(call) {
    const request = readRequest(call)
    const isDryRun = readCommon(call)
    const { key, signable, algorithm } = authorized(call, request, 'Sign')
    endDryRun(isDryRun)
    const signature = signWith(privateKeyOf(call.store, key), algorithm, signable)
    return {
      ...call.answerSecret('Signature', signature),
      KeyId: keyArn(key.id, call.place),
      SigningAlgorithm: algorithm,
    }
  },
}

export const verify: Operation = {
  run(call) {
    const request = readRequest(call)
    const signature = call.fields.requiredBlob('Signature', MAX_BLOB_BYTES)
    const isDryRun = readCommon(call)
    const { key, signable, algorithm } = authorized(call, request, 'Verify')
    endDryRun(isDryRun)
    if (!verifyWith(publicKeyOf(key), algorithm, { ...signable, signature }))
      throw new KmsError('KMSInvalidSignatureException', 'The signature is not valid.')
    return {
      KeyId: keyArn(key.id, call.place),
      SignatureValid: true,
      SigningAlgorithm: algorithm,
    }
  },
}

export const getPublicKey: Operation = {
  run(call) {
    const { fields, place } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    call.readGrantTokens()
    fields.end()
    const found = call.key(keyId)
    call.authorizeKey('kms:GetPublicKey', found)
    checkAsymmetric(found, place)
    checkState(found, place, ['Enabled', 'Disabled'])
    const { key } = found
    return {
      KeyId: keyArn(key.id, place),
      PublicKey: base64(key.publicKey ?? new Uint8Array()),
      ...kindOf(key),
    }
  },
}

interface SigningRequest {
  readonly keyId: string
  readonly algorithm: SigningAlgorithm
  readonly messageType: (typeof MESSAGE_TYPES)[number]
  readonly message: Uint8Array
}

function readRequest({ fields }: Call): SigningRequest {
  return {
    keyId: fields.requiredText('KeyId', MAX_KEY_ID),
    message: fields.requiredBlob('Message', MAX_PLAINTEXT_BYTES),
    messageType: fields.choice('MessageType', MESSAGE_TYPES) ?? 'RAW',
    algorithm: fields.requiredChoice('SigningAlgorithm', SIGNING_ALGORITHMS),
  }
}

function readCommon(call: Call): boolean {
  call.readGrantTokens()
  const isDryRun = call.fields.flag('DryRun')
  call.fields.end()
  return isDryRun
}

interface Signing {
  readonly key: FoundKey['key']
  readonly algorithm: SigningAlgorithm
  readonly signable: Signable
}

function authorized(call: Call, request: SigningRequest, operation: 'Sign' | 'Verify'): Signing {
  const { algorithm, messageType, message } = request
  const found = call.key(request.keyId)
  call.authorizeKey(`kms:${operation}`, found, {
    'kms:SigningAlgorithm': algorithm,
    'kms:MessageType': messageType,
  })
  checkUsable(found, call.place, { operation, usage: 'SIGN_VERIFY', algorithm })
  if (messageType === 'EXTERNAL_MU')
    throw invalid(`MessageType EXTERNAL_MU is not supported with ${algorithm}`)
  const isDigest = messageType === 'DIGEST'
  if (isDigest && message.length !== digestBytes(algorithm))
    throw invalid(`Digest is invalid length for algorithm ${algorithm}.`)
  return { key: found.key, algorithm, signable: { message, isDigest } }
}
