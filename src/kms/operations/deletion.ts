// ScheduleKeyDeletion and CancelKeyDeletion. A key pending deletion cannot be used; upkeep.ts deletes it
// when its waiting period is over.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html

import { KmsError } from '../kms-error.ts'
import { DAY_MS } from '../rotate-key.ts'
import type { Operation } from './call.ts'
import { keyArn, MAX_KEY_ID, type Place } from './key-names.ts'
import { checkState, stateOf } from './key-state.ts'

/** AWS's bounds of the waiting period, in days. */
const [MIN_DAYS, MAX_DAYS] = [7, 30]

export const scheduleKeyDeletion: Operation = {
  run(call) {
    const { fields, nowMs, place, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const days = fields.integer('PendingWindowInDays', MIN_DAYS, MAX_DAYS) ?? MAX_DAYS
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:ScheduleKeyDeletion', found, {
      'kms:ScheduleKeyDeletionPendingWindowInDays': String(days),
    })
    checkState(found, place, ['Enabled', 'Disabled', 'PendingImport'])
    const key = { ...found.key, deletionMs: nowMs + days * DAY_MS }
    store.keys.put(key)
    return {
      KeyId: keyArn(key.id, place),
      DeletionDate: key.deletionMs / 1000,
      KeyState: stateOf(key),
      PendingWindowInDays: days,
    }
  },
}

/** As on AWS the key is disabled afterwards. */
export const cancelKeyDeletion: Operation = {
  run(call) {
    const { fields, place, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:CancelKeyDeletion', found)
    if (stateOf(found.key) !== 'PendingDeletion') throw notPending(found.key.id, place)
    store.keys.put({ ...found.key, deletionMs: null, enabled: false })
    return { KeyId: keyArn(found.key.id, place) }
  },
}

function notPending(id: string, place: Place): KmsError {
  return new KmsError('KMSInvalidStateException', `${keyArn(id, place)} is not pending deletion.`)
}
