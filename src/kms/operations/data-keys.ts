// GenerateDataKey, GenerateDataKeyPair, both WithoutPlaintext, and GenerateRandom.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html

import { randomBytes } from 'node:crypto'
import { generatePair, PAIR_SPECS } from '../crypto/key-pair.ts'
import type { EncryptionContext } from '../fields.ts'
import { invalid } from '../kms-error.ts'
import { base64, endDryRun, type Answer, type Call, type Operation } from './call.ts'
import { checkUsable, encryptionKeys, sealFor } from './cryptography.ts'
import { keyArn, MAX_KEY_ID, type FoundKey } from './key-names.ts'

const KEY_BYTES = { AES_256: 32, AES_128: 16 } as const
const MAX_BYTES = 1024

export const generateDataKey: Operation = {
  takesRecipient: true,
  run(call) {
    const { plaintext, ...answer } = dataKey(call, 'kms:GenerateDataKey')
    return { ...answer, ...call.answerSecret('Plaintext', plaintext) }
  },
}

export const generateDataKeyWithoutPlaintext: Operation = {
  run(call) {
    const { CiphertextBlob, KeyId } = dataKey(call, 'kms:GenerateDataKeyWithoutPlaintext')
    return { CiphertextBlob, KeyId }
  },
}

export const generateDataKeyPair: Operation = {
  takesRecipient: true,
  async run(call) {
    const { privateKey, answer } = await dataKeyPair(call, 'kms:GenerateDataKeyPair')
    return { ...answer, ...call.answerSecret('PrivateKeyPlaintext', privateKey) }
  },
}

export const generateDataKeyPairWithoutPlaintext: Operation = {
  async run(call) {
    return (await dataKeyPair(call, 'kms:GenerateDataKeyPairWithoutPlaintext')).answer
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
  readonly CiphertextBlob: string
  readonly KeyId: string
}

function dataKey(call: Call, action: string): DataKey {
  const { fields } = call
  const spec = fields.choice('KeySpec', ['AES_256', 'AES_128'])
  const count = fields.integer('NumberOfBytes', 1, MAX_BYTES)
  if ((spec === undefined) === (count === undefined))
    throw invalid('Please specify either number of bytes or key spec.')
  const { found, context } = authorizedKey(call, action, {})
  const plaintext = randomBytes(spec === undefined ? (count ?? 0) : KEY_BYTES[spec])
  return {
    plaintext,
    CiphertextBlob: base64(sealFor(call, found, { plaintext, context })),
    KeyId: keyArn(found.key.id, call.place),
  }
}

interface AnsweredPair {
  readonly privateKey: Uint8Array
  readonly answer: Exclude<Answer, null>
}

async function dataKeyPair(call: Call, action: string): Promise<AnsweredPair> {
  const spec = call.fields.choice('KeyPairSpec', PAIR_SPECS)
  if (spec === undefined) throw invalid('KeyPairSpec is missing')
  const { found, context } = authorizedKey(call, action, { 'kms:DataKeyPairSpec': spec })
  const { privateKey, publicKey } = await generatePair(spec)
  const answer = {
    PrivateKeyCiphertextBlob: base64(sealFor(call, found, { plaintext: privateKey, context })),
    PublicKey: base64(publicKey),
    KeyId: keyArn(found.key.id, call.place),
    KeyPairSpec: spec,
  }
  return { privateKey, answer }
}

function authorizedKey(
  call: Call,
  action: string,
  conditions: Readonly<Record<string, string>>,
): { readonly found: FoundKey; readonly context: EncryptionContext } {
  const { fields } = call
  const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
  const context = fields.context('EncryptionContext')
  const isDryRun = fields.flag('DryRun')
  fields.noGrantTokens()
  fields.end()
  const found = call.key(keyId)
  call.subject = { ...call.subject, encryptionContext: context }
  call.authorizeKey(action, found, { ...encryptionKeys(context), ...conditions })
  checkUsable(call, found)
  endDryRun(isDryRun)
  return { found, context }
}
