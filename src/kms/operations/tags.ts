// TagResource, UntagResource, ListResourceTags, and the tags of CreateKey. A key's tags are in `aws:ResourceTag/…` of every
// request for it: who may tag a key may decide who can use it.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html

import type { RequestContext } from '@cloister/attestation/policy'
import type { Fields } from '../fields.ts'
import { invalid, KmsError } from '../kms-error.ts'
import type { KeyTags } from '../store/key-table.ts'
import type { Operation } from './call.ts'
import { MAX_KEY_ID } from './key-names.ts'
import { checkState } from './key-state.ts'
import { pageOf, readPage } from './pages.ts'

/** AWS's quota of tags for one key. */
const MAX_TAGS = 50
const [MAX_NAME, MAX_VALUE] = [128, 256]
const CHARACTERS = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u
/** A key that is to be deleted keeps the tags that it has. */
const LIVING = ['Enabled', 'Disabled', 'PendingImport'] as const

export const tagResource: Operation = {
  run(call) {
    const { fields, store, place } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const tags = readTags(fields)
    fields.end()
    if (tags === undefined) throw invalid('Tags is missing')
    const found = call.key(keyId, false)
    call.authorizeKey('kms:TagResource', found, tagKeys(tags))
    checkState(found, place, LIVING)
    const all = { ...found.key.tags, ...tags }
    checkTags(all)
    store.keys.put({ ...found.key, tags: all })
    return null
  },
}

export const untagResource: Operation = {
  run(call) {
    const { fields, store, place } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const names = fields.requiredTexts('TagKeys', { most: MAX_TAGS, longest: MAX_NAME })
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:UntagResource', found, { 'aws:TagKeys': names })
    checkState(found, place, LIVING)
    const left = Object.entries(found.key.tags).filter(([name]) => !names.includes(name))
    store.keys.put({ ...found.key, tags: Object.fromEntries(left) })
    return null
  },
}

export const listResourceTags: Operation = {
  run(call) {
    const { fields } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const page = readPage(fields, { most: 50, usual: 50 })
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:ListResourceTags', found)
    const tags = Object.entries(found.key.tags)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .filter(([name]) => page.after === '' || name > page.after)
    const entryOf = ([TagKey, TagValue]: [string, string]) => ({ TagKey, TagValue })
    return pageOf('Tags', tags, { page, entryOf, nameOf: ([name]) => name })
  },
}

/**
 * The `Tags` of a request; undefined when it has none.
 * @throws KmsError TagException, ValidationException.
 */
export function readTags(fields: Fields): KeyTags | undefined {
  const structures = fields.structures('Tags')
  if (structures === undefined) return undefined
  const pairs = structures.map((one): readonly [string, string] => {
    const name = one.requiredText('TagKey', MAX_NAME)
    const value = one.possiblyEmptyText('TagValue', MAX_VALUE)
    one.end()
    if (value === undefined) throw invalid('TagValue is missing')
    return [name, value]
  })
  const tags = Object.fromEntries(pairs)
  if (Object.keys(tags).length < pairs.length) throw tagError('A tag key occurs twice.')
  checkTags(tags)
  return tags
}

/** The condition keys of a request that sets tags. */
export function tagKeys(tags: KeyTags): RequestContext {
  const names = Object.keys(tags)
  if (names.length === 0) return {}
  const pairs = Object.entries(tags).map(([name, value]) => [`aws:RequestTag/${name}`, value])
  return { ...(Object.fromEntries(pairs) as RequestContext), 'aws:TagKeys': names }
}

/** Condition keys do not tell names apart that differ in case only. */
function checkTags(tags: KeyTags): void {
  const names = Object.keys(tags)
  const texts = Object.entries(tags).flat()
  if (!texts.every((text) => CHARACTERS.test(text)))
    throw tagError('A tag contains a character that is not allowed.')
  if (names.some((name) => name.toLowerCase().startsWith('aws:')))
    throw tagError('Tag keys that begin with aws: are reserved.')
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
    throw tagError('Two tag keys differ in case only.')
  if (names.length > MAX_TAGS)
    throw new KmsError('LimitExceededException', `A key has at most ${String(MAX_TAGS)} tags.`)
}

function tagError(message: string): KmsError {
  return new KmsError('TagException', message)
}
