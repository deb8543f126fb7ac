// RevokeGrant, which the key policy must allow, and RetireGrant, for the principals named in the grant and the
// account that created it.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_RetireGrant.html

import { invalid, KmsError } from '../kms-error.ts'
import type { GrantRecord } from '../store/grant-table.ts'
import { endDryRun, type Call, type Operation } from './call.ts'
import { findGrant } from './grants.ts'
import { MAX_KEY_ID } from './key-names.ts'

const MAX_GRANT_ID = 128
const MAX_TOKEN = 8192

export const revokeGrant: Operation = {
  run(call) {
    const { fields, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const grantId = fields.requiredText('GrantId', MAX_GRANT_ID)
    const isDryRun = fields.flag('DryRun')
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:RevokeGrant', found)
    const { id } = findGrant(call, found.key.id, grantId)
    endDryRun(isDryRun)
    store.grants.remove(id)
    return null
  },
}

export const retireGrant: Operation = {
  run(call) {
    const { fields, store } = call
    const token = fields.text('GrantToken', MAX_TOKEN)
    const keyId = fields.text('KeyId', MAX_KEY_ID)
    const grantId = fields.text('GrantId', MAX_GRANT_ID)
    const isDryRun = fields.flag('DryRun')
    fields.end()
    const grant = namedGrant(call, { token, keyId, grantId })
    call.authorizeRetiring(call.key(grant.keyId), grant)
    endDryRun(isDryRun)
    store.grants.remove(grant.id)
    return null
  },
}

interface GrantNames {
  readonly token: string | undefined
  readonly keyId: string | undefined
  readonly grantId: string | undefined
}

/** By its token, or by its key and id. */
function namedGrant(call: Call, { token, keyId, grantId }: GrantNames): GrantRecord {
  if (token !== undefined && (keyId ?? grantId) === undefined) {
    const grant = call.store.grants.find(call.grantOfToken(token))
    if (grant !== undefined) return grant
    throw new KmsError('NotFoundException', 'The grant for this token does not exist.')
  }
  if (token !== undefined || keyId === undefined || grantId === undefined)
    throw invalid('Specify either a grant token, or the key and the ID of a grant.')
  return findGrant(call, call.key(keyId, false).key.id, grantId)
}
