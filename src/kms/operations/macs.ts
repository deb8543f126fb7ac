// GenerateMac and VerifyMac: HMAC of RFC 2104 under a key of the hash's length.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateMac.html

import { createHmac, timingSafeEqual } from 'node:crypto'
import { MAX_BLOB_BYTES } from '../crypto/ciphertext-blob.ts'
import { MAC_ALGORITHMS } from '../crypto/key-specs.ts'
import { KmsError } from '../kms-error.ts'
import { base64, endDryRun, type Call, type Operation } from './call.ts'
import { MAX_PLAINTEXT_BYTES } from './cryptography.ts'
import { secretOf } from './encryption.ts'
import { keyArn, MAX_KEY_ID } from './key-names.ts'
import { checkUsable } from './key-state.ts'

export const generateMac: Operation = {
  run(call) {
    const { mac, answer } = computeMac(call, 'GenerateMac')
    return { Mac: base64(mac), ...answer }
  },
}

export const verifyMac: Operation = {
  run(call) {
    const claimed = call.fields.requiredBlob('Mac', MAX_BLOB_BYTES)
    const { mac, answer } = computeMac(call, 'VerifyMac')
    if (claimed.length !== mac.length || !timingSafeEqual(claimed, mac))
      throw new KmsError('KMSInvalidMacException', 'The MAC is not valid.')
    return { MacValid: true, ...answer }
  },
}

interface ComputedMac {
  readonly mac: Uint8Array
  readonly answer: Readonly<Record<string, string>>
}

function computeMac(call: Call, operation: 'GenerateMac' | 'VerifyMac'): ComputedMac {
  const { fields, store, place } = call
  const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
  const message = fields.requiredBlob('Message', MAX_PLAINTEXT_BYTES)
  const algorithm = fields.requiredChoice('MacAlgorithm', MAC_ALGORITHMS)
  const isDryRun = fields.flag('DryRun')
  call.readGrantTokens()
  fields.end()
  const found = call.key(keyId)
  call.authorizeKey(`kms:${operation}`, found, { 'kms:MacAlgorithm': algorithm })
  checkUsable(found, place, { operation, usage: 'GENERATE_VERIFY_MAC', algorithm })
  endDryRun(isDryRun)
  const hash = `sha${algorithm.slice(-3)}`
  return {
    mac: createHmac(hash, secretOf(store, found.key)).update(message).digest(),
    answer: { MacAlgorithm: algorithm, KeyId: keyArn(found.key.id, place) },
  }
}
