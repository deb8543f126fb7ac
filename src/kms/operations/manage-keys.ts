// CreateKey, DescribeKey, ListKeys, EnableKey, DisableKey.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html

import { unsupported } from '../kms-error.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { Answer, Call, Operation } from './call.ts'
import { keyArn, MAX_KEY_ID, type Place } from './key-names.ts'
import { pageOf, readPage } from './pages.ts'
import { checkNewPolicy, defaultPolicy, MAX_POLICY } from './policy-rules.ts'

const SPECS = [
  ...(['SYMMETRIC_DEFAULT', 'RSA_2048', 'RSA_3072', 'RSA_4096', 'ECC_NIST_P256'] as const),
  ...(['ECC_NIST_P384', 'ECC_NIST_P521', 'ECC_SECG_P256K1', 'ECC_NIST_EDWARDS25519'] as const),
  ...(['HMAC_224', 'HMAC_256', 'HMAC_384', 'HMAC_512', 'SM2'] as const),
  ...(['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87'] as const),
] as const
const USAGES = ['ENCRYPT_DECRYPT', 'SIGN_VERIFY', 'GENERATE_VERIFY_MAC', 'KEY_AGREEMENT'] as const
const ORIGINS = ['AWS_KMS', 'EXTERNAL', 'AWS_CLOUDHSM', 'EXTERNAL_KEY_STORE'] as const

export const createKey: Operation = {
  run(call) {
    const { fields, store, nowMs } = call
    const description = fields.text('Description', 8192) ?? ''
    const given = fields.text('Policy', MAX_POLICY)
    const bypass = fields.flag('BypassPolicyLockoutSafetyCheck')
    readKind(call)
    fields.end()
    call.authorize('kms:CreateKey', {
      'kms:KeySpec': 'SYMMETRIC_DEFAULT',
      'kms:KeyUsage': 'ENCRYPT_DECRYPT',
      'kms:KeyOrigin': 'AWS_KMS',
      'kms:MultiRegion': 'false',
      'kms:BypassPolicyLockoutSafetyCheck': String(bypass),
    })
    const policy = given ?? defaultPolicy(call.place.account)
    checkNewPolicy(call, policy, bypass)
    const key = store.keys.create({ description, policy }, nowMs)
    call.subject = { key: keyArn(key.id, call.place) }
    return { KeyMetadata: metadataOf(key, call.place) }
  },
}

export const describeKey: Operation = {
  run(call) {
    const found = readKey(call, true)
    call.authorizeKey('kms:DescribeKey', found)
    return { KeyMetadata: metadataOf(found.key, call.place) }
  },
}

export const enableKey: Operation = { run: (call) => setEnabled(call, 'kms:EnableKey', true) }
export const disableKey: Operation = { run: (call) => setEnabled(call, 'kms:DisableKey', false) }

export const listKeys: Operation = {
  run(call) {
    const page = readPage(call.fields, { most: 1000, usual: 100 })
    call.fields.end()
    call.authorize('kms:ListKeys')
    const ids = call.store.keys.list(page.after, page.limit + 1)
    const entryOf = (id: string) => ({ KeyId: id, KeyArn: keyArn(id, call.place) })
    return pageOf('Keys', ids, { page, entryOf, nameOf: (id) => id })
  },
}

/** Everything but a symmetric key of our own is refused in words. */
function readKind({ fields }: Call): void {
  const spec = fields.choice('KeySpec', SPECS) ?? 'SYMMETRIC_DEFAULT'
  const old = fields.choice('CustomerMasterKeySpec', SPECS) ?? 'SYMMETRIC_DEFAULT'
  const usage = fields.choice('KeyUsage', USAGES) ?? 'ENCRYPT_DECRYPT'
  const origin = fields.choice('Origin', ORIGINS) ?? 'AWS_KMS'
  for (const one of [spec, old])
    if (one !== 'SYMMETRIC_DEFAULT')
      throw unsupported(`KeySpec ${one}: this broker has symmetric keys only`)
  if (usage !== 'ENCRYPT_DECRYPT')
    throw unsupported(`KeyUsage ${usage}: this broker's keys encrypt and decrypt`)
  if (origin !== 'AWS_KMS') throw unsupported(`Origin ${origin}: this broker makes its keys itself`)
  fields.refuse({
    MultiRegion: 'this broker has no regions to copy keys to',
    CustomKeyStoreId: 'this broker has no custom key stores',
    XksKeyId: 'this broker has no external key stores',
    Tags: 'this broker has no tags yet',
  })
}

function setEnabled(call: Call, action: string, enabled: boolean): Answer {
  const found = readKey(call, false)
  call.authorizeKey(action, found)
  call.store.keys.update({ ...found.key, enabled })
  return null
}

function readKey(call: Call, aliases: boolean): ReturnType<Call['key']> {
  const keyId = call.fields.requiredText('KeyId', MAX_KEY_ID)
  call.fields.noGrantTokens()
  call.fields.end()
  return call.key(keyId, aliases)
}

function metadataOf(key: KeyRecord, place: Place): Answer {
  return {
    AWSAccountId: place.account,
    KeyId: key.id,
    Arn: keyArn(key.id, place),
    CreationDate: key.createdMs / 1000,
    Enabled: key.enabled,
    Description: key.description,
    KeyUsage: 'ENCRYPT_DECRYPT',
    KeyState: key.enabled ? 'Enabled' : 'Disabled',
    Origin: 'AWS_KMS',
    KeyManager: 'CUSTOMER',
    CustomerMasterKeySpec: 'SYMMETRIC_DEFAULT',
    KeySpec: 'SYMMETRIC_DEFAULT',
    EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
    MultiRegion: false,
  }
}
