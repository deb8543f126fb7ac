// GetKeyPolicy, PutKeyPolicy, ListKeyPolicies. A key has one policy, named `default`.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html

import type { Fields } from '../fields.ts'
import type { Operation } from './call.ts'
import { MAX_KEY_ID, notFound } from './key-names.ts'
import { pageOf, readPage } from './pages.ts'
import { checkNewPolicy, MAX_POLICY } from './policy-rules.ts'

const DEFAULT = 'default'

export const getKeyPolicy: Operation = {
  run(call) {
    const keyId = readNames(call.fields)
    call.fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:GetKeyPolicy', found)
    return { Policy: found.key.policy, PolicyName: DEFAULT }
  },
}

export const putKeyPolicy: Operation = {
  run(call) {
    const { fields, store } = call
    const keyId = readNames(fields)
    const policy = fields.requiredText('Policy', MAX_POLICY)
    const bypass = fields.flag('BypassPolicyLockoutSafetyCheck')
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:PutKeyPolicy', found, {
      'kms:BypassPolicyLockoutSafetyCheck': String(bypass),
    })
    const key = { ...found.key, policy }
    checkNewPolicy(call, key, bypass)
    store.keys.put(key)
    return null
  },
}

export const listKeyPolicies: Operation = {
  run(call) {
    const keyId = call.fields.requiredText('KeyId', MAX_KEY_ID)
    const page = readPage(call.fields, { most: 1000, usual: 100 })
    call.fields.end()
    call.authorizeKey('kms:ListKeyPolicies', call.key(keyId, false))
    const names = [DEFAULT].filter((name) => name > page.after)
    const nameOf = (name: string) => name
    return pageOf('PolicyNames', names, { page, entryOf: nameOf, nameOf })
  },
}

function readNames(fields: Fields): string {
  const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
  const name = fields.text('PolicyName', 128, /^\w+$/) ?? DEFAULT
  if (name !== DEFAULT) throw notFound(`No such policy exists: ${name}`)
  return keyId
}
