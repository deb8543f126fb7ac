// DescribeKey, ListKeys, EnableKey, DisableKey, UpdateKeyDescription.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html

import { invalid } from '../kms-error.ts'
import type { Answer, Call, Operation } from './call.ts'
import { metadataOf } from './key-metadata.ts'
import { keyArn, MAX_KEY_ID } from './key-names.ts'
import { checkState } from './key-state.ts'
import { pageOf, readPage } from './pages.ts'

export const describeKey: Operation = {
  run(call) {
    const keyId = call.fields.requiredText('KeyId', MAX_KEY_ID)
    call.readGrantTokens()
    call.fields.end()
    const found = call.key(keyId)
    call.authorizeKey('kms:DescribeKey', found)
    return { KeyMetadata: metadataOf(found.key, call) }
  },
}

export const enableKey: Operation = { run: (call) => setEnabled(call, 'kms:EnableKey', true) }
export const disableKey: Operation = { run: (call) => setEnabled(call, 'kms:DisableKey', false) }

export const updateKeyDescription: Operation = {
  run(call) {
    const { fields, store, place } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const description = fields.possiblyEmptyText('Description', 8192)
    fields.end()
    if (description === undefined) throw invalid('Description is missing')
    const found = call.key(keyId, false)
    call.authorizeKey('kms:UpdateKeyDescription', found)
    checkState(found, place, ['Enabled', 'Disabled', 'PendingImport'])
    store.keys.put({ ...found.key, description })
    return null
  },
}

export const listKeys: Operation = {
  run(call) {
    const page = readPage(call.fields, { most: 1000, usual: 100 })
    call.fields.refuse({ ResourceOwners: 'this broker has the keys of one account only' })
    call.fields.end()
    call.authorize('kms:ListKeys')
    const ids = call.store.keys.list(page.after, page.limit + 1)
    const entryOf = (id: string) => ({ KeyId: id, KeyArn: keyArn(id, call.place) })
    return pageOf('Keys', ids, { page, entryOf, nameOf: (id) => id })
  },
}

function setEnabled(call: Call, action: string, enabled: boolean): Answer {
  const keyId = call.fields.requiredText('KeyId', MAX_KEY_ID)
  call.fields.end()
  const found = call.key(keyId, false)
  call.authorizeKey(action, found)
  checkState(found, call.place, ['Enabled', 'Disabled'])
  call.store.keys.put({ ...found.key, enabled })
  return null
}
