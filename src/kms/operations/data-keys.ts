// GenerateDataKey, GenerateDataKeyPair, both WithoutPlaintext, and GenerateRandom.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html

import { randomBytes } from 'node:crypto'
import { generatePair, PAIR_SPECS, type DataKeyPair, type PairSpec } from '../crypto/key-pair.ts'
import type { EncryptionContext } from '../fields.ts'
import { invalid } from '../kms-error.ts'
import { base64, endDryRun, type Answer, type Call, type Operation } from './call.ts'
import { materialIdOf } from './cryptography.ts'
import { encryptionKeys, encryptWith, SYMMETRIC } from './encryption.ts'
import { keyArn, MAX_KEY_ID, type FoundKey } from './key-names.ts'
import { checkUsable } from './key-state.ts'

const KEY_BYTES = { AES_256: 32, AES_128: 16 } as const
const MAX_BYTES = 1024

export const generateDataKey: Operation = {
  takesRecipient: true,
  run(call) {
    const { plaintext, answer } = dataKey(call, 'GenerateDataKey')
    return { ...answer, ...call.answerSecret('Plaintext', plaintext) }
  },
}

export const generateDataKeyWithoutPlaintext: Operation = {
  run(call) {
    return dataKey(call, 'GenerateDataKeyWithoutPlaintext').answer
  },
}

export const generateDataKeyPair: Operation = {
  takesRecipient: true,
  async prepare(call) {
    const operation = 'GenerateDataKeyPair'
    const pair = await generatePair(authorizedPair(call, operation).spec)
    return (again) => ({
      ...dataKeyPair(again, operation, pair),
      ...again.answerSecret('PrivateKeyPlaintext', pair.privateKey),
    })
  },
}

export const generateDataKeyPairWithoutPlaintext: Operation = {
  async prepare(call) {
    const operation = 'GenerateDataKeyPairWithoutPlaintext'
    const pair = await generatePair(authorizedPair(call, operation).spec)
    return (again) => dataKeyPair(again, operation, pair)
  },
}

export const generateRandom: Operation = {
  takesRecipient: true,
  run(call) {
    const { fields } = call
    const count = fields.integer('NumberOfBytes', 1, MAX_BYTES)
    fields.refuse({ CustomKeyStoreId: 'this broker has no custom key stores' })
    fields.end()
    if (count === undefined) throw invalid('NumberOfBytes is missing')
    call.authorize('kms:GenerateRandom')
    return call.answerSecret('Plaintext', randomBytes(count))
  },
}

interface DataKey {
  readonly plaintext: Uint8Array
  readonly answer: Exclude<Answer, null>
}

function dataKey(call: Call, operation: string): DataKey {
  const { fields } = call
  const spec = fields.choice('KeySpec', ['AES_256', 'AES_128'])
  const count = fields.integer('NumberOfBytes', 1, MAX_BYTES)
  if ((spec === undefined) === (count === undefined))
    throw invalid('Please specify either number of bytes or key spec.')
  const sealing = authorizedKey(call, operation, {})
  const plaintext = randomBytes(spec === undefined ? (count ?? 0) : KEY_BYTES[spec])
  return { plaintext, answer: sealed(call, sealing, { field: 'CiphertextBlob', plaintext }) }
}

function authorizedPair(
  call: Call,
  operation: string,
): { readonly spec: PairSpec; readonly sealing: Sealing } {
  const spec = call.fields.requiredChoice('KeyPairSpec', PAIR_SPECS)
  return { spec, sealing: authorizedKey(call, operation, { 'kms:DataKeyPairSpec': spec }) }
}

function dataKeyPair(
  call: Call,
  operation: string,
  { privateKey, publicKey }: DataKeyPair,
): Exclude<Answer, null> {
  const { spec, sealing } = authorizedPair(call, operation)
  return {
    ...sealed(call, sealing, { field: 'PrivateKeyCiphertextBlob', plaintext: privateKey }),
    PublicKey: base64(publicKey),
    KeyPairSpec: spec,
  }
}

/** What a data key is encrypted with. */
interface Sealing {
  readonly found: FoundKey
  readonly context: EncryptionContext
}

function sealed(
  call: Call,
  { found, context }: Sealing,
  { field, plaintext }: { readonly field: string; readonly plaintext: Uint8Array },
): Readonly<Record<string, string>> {
  const blob = encryptWith(call.store, found.key, { algorithm: SYMMETRIC, context, plaintext })
  return {
    [field]: base64(blob),
    KeyId: keyArn(found.key.id, call.place),
    ...materialIdOf('KeyMaterialId', call, { blob, found }),
  }
}

function authorizedKey(
  call: Call,
  operation: string,
  conditions: Readonly<Record<string, string>>,
): Sealing {
  const { fields } = call
  const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
  const context = fields.context('EncryptionContext')
  const isDryRun = fields.flag('DryRun')
  call.readGrantTokens()
  fields.end()
  const found = call.key(keyId)
  call.subject = { ...call.subject, encryptionContext: context }
  const keys = encryptionKeys({ algorithm: SYMMETRIC, context })
  call.authorizeKey(`kms:${operation}`, found, { ...keys, ...conditions })
  const usage = 'ENCRYPT_DECRYPT'
  checkUsable(found, call.place, { operation, usage, algorithm: SYMMETRIC })
  endDryRun(isDryRun)
  return { found, context }
}
