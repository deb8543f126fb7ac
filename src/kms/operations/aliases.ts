// CreateAlias, UpdateAlias, DeleteAlias, ListAliases. Changing a name takes permission on the name and on
// the keys involved: who can lead a name elsewhere decides under which key others encrypt.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html

import { invalid, KmsError } from '../kms-error.ts'
import { MAX_ALIASES, type AliasRecord } from '../store/alias-table.ts'
import type { Call, Operation } from './call.ts'
import { ALIAS, aliasArn, MAX_KEY_ID, notFound } from './key-names.ts'
import { checkState } from './key-state.ts'
import { pageOf, readPage } from './pages.ts'

/** A key that is to be deleted gets no new names. */
const LIVING = ['Enabled', 'Disabled', 'PendingImport'] as const

export const createAlias: Operation = {
  run(call) {
    const { store, nowMs } = call
    const name = readName(call)
    const target = readTarget(call)
    call.authorizeAlias('kms:CreateAlias', name)
    call.authorizeKey('kms:CreateAlias', target)
    checkState(target, call.place, LIVING)
    if (store.aliases.find(name) !== undefined) {
      const message = `An alias with the name ${aliasArn(name, call.place)} already exists`
      throw new KmsError('AlreadyExistsException', message)
    }
    checkRoom(call, target.key.id)
    store.aliases.put({ name, keyId: target.key.id, createdMs: nowMs, updatedMs: nowMs })
    return null
  },
}

export const updateAlias: Operation = {
  run(call) {
    const name = readName(call)
    const target = readTarget(call)
    const record = existing(call, name)
    call.authorizeAlias('kms:UpdateAlias', name)
    call.authorizeKey('kms:UpdateAlias', { ...call.key(record.keyId), alias: null })
    call.authorizeKey('kms:UpdateAlias', target)
    checkState(target, call.place, LIVING)
    if (record.keyId !== target.key.id) checkRoom(call, target.key.id)
    call.store.aliases.put({ ...record, keyId: target.key.id, updatedMs: call.nowMs })
    return null
  },
}

export const deleteAlias: Operation = {
  run(call) {
    const name = readName(call)
    call.fields.end()
    const record = existing(call, name)
    call.authorizeAlias('kms:DeleteAlias', name)
    call.authorizeKey('kms:DeleteAlias', { ...call.key(record.keyId), alias: null })
    call.store.aliases.remove(name)
    return null
  },
}

export const listAliases: Operation = {
  run(call) {
    const page = readPage(call.fields, { most: 100, usual: 50 })
    const keyId = call.fields.text('KeyId', MAX_KEY_ID)
    call.fields.end()
    call.authorize('kms:ListAliases')
    const of = keyId === undefined ? null : call.key(keyId, false).key.id
    const found = call.store.aliases.list(page.after, page.limit + 1, of)
    const entryOf = (record: AliasRecord) => ({
      AliasName: record.name,
      AliasArn: aliasArn(record.name, call.place),
      TargetKeyId: record.keyId,
      CreationDate: record.createdMs / 1000,
      LastUpdatedDate: record.updatedMs / 1000,
    })
    return pageOf('Aliases', found, { page, entryOf, nameOf: ({ name }) => name })
  },
}

function readName({ fields }: Call): string {
  const name = fields.requiredText('AliasName', 256, ALIAS)
  if (name.startsWith('alias/aws/'))
    throw invalid(`${name}: names that begin with alias/aws/ are AWS's`)
  return name
}

function readTarget(call: Call): ReturnType<Call['key']> {
  const target = call.fields.requiredText('TargetKeyId', MAX_KEY_ID)
  call.fields.end()
  return call.key(target, false)
}

/** All names of a key are in `kms:ResourceAliases`, so that it must not have more than fit there. */
function checkRoom({ store }: Call, keyId: string): void {
  if (store.aliases.namesOf(keyId).length < MAX_ALIASES) return
  const message = `the key has ${String(MAX_ALIASES)} aliases already`
  throw new KmsError('LimitExceededException', message)
}

function existing({ store, place }: Call, name: string): AliasRecord {
  const record = store.aliases.find(name)
  if (record === undefined) throw notFound(`Alias ${aliasArn(name, place)} is not found.`)
  return record
}
