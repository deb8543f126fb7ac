// DeriveSharedSecret: ECDH with the public key of somebody else on the key's curve (SP 800-56A section 5.7.1.2).
// The secret is the raw x-coordinate: the client derives a key from it.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_DeriveSharedSecret.html

import { diffieHellman, type KeyObject } from 'node:crypto'
import { parseSpki } from '../crypto/spki.ts'
import { invalid } from '../kms-error.ts'
import { endDryRun, type Operation } from './call.ts'
import { privateKeyOf, publicKeyOf } from './encryption.ts'
import { keyArn, MAX_KEY_ID } from './key-names.ts'
import { checkUsable } from './key-state.ts'

const MAX_PUBLIC_KEY_BYTES = 8192

export const deriveSharedSecret: Operation = {
  takesRecipient: true,
  run(call) {
    const { fields, place, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const algorithm = fields.requiredChoice('KeyAgreementAlgorithm', ['ECDH'])
    const theirs = fields.requiredBlob('PublicKey', MAX_PUBLIC_KEY_BYTES)
    const isDryRun = fields.flag('DryRun')
    call.readGrantTokens()
    fields.end()
    const found = call.key(keyId)
    call.authorizeKey('kms:DeriveSharedSecret', found, { 'kms:KeyAgreementAlgorithm': algorithm })
    const usage = 'KEY_AGREEMENT'
    checkUsable(found, place, { operation: 'DeriveSharedSecret', usage, algorithm })
    const publicKey = parsePublicKey(theirs, publicKeyOf(found.key))
    endDryRun(isDryRun)
    const privateKey = privateKeyOf(store, found.key)
    return {
      ...call.answerSecret('SharedSecret', diffieHellman({ privateKey, publicKey })),
      KeyId: keyArn(found.key.id, place),
      KeyAgreementAlgorithm: algorithm,
      KeyOrigin: found.key.origin,
    }
  },
}

/** OpenSSL parses only points that are on the curve. */
function parsePublicKey(der: Uint8Array, ours: KeyObject): KeyObject {
  const curve = ours.asymmetricKeyDetails?.namedCurve
  const key = parseSpki(der)
  if (key?.asymmetricKeyDetails?.namedCurve === curve && key !== undefined) return key
  throw invalid(`PublicKey is not a DER SubjectPublicKeyInfo of the curve ${String(curve)}`)
}
