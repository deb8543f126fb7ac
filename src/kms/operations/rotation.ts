// RotateKeyOnDemand, EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, ListKeyRotations. A rotated
// key encrypts with its new material and opens what any of the older ones sealed.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html

import { KmsError, unsupported } from '../kms-error.ts'
import { DAY_MS, rotateKey } from '../rotate-key.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { MaterialRecord } from '../store/material-table.ts'
import type { Call, Operation } from './call.ts'
import { expirationOf } from './key-metadata.ts'
import { keyArn, MAX_KEY_ID, type FoundKey } from './key-names.ts'
import { checkState } from './key-state.ts'
import { pageOf, readPage } from './pages.ts'

/** AWS's limits for the period, and its default, in days. */
const [MIN_DAYS, MAX_DAYS, USUAL_DAYS] = [90, 2560, 365]
/** AWS's quota for one key. */
const MAX_ON_DEMAND = 25

export const enableKeyRotation: Operation = {
  run(call) {
    const { fields, nowMs, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const given = fields.integer('RotationPeriodInDays', MIN_DAYS, MAX_DAYS)
    fields.end()
    const found = call.key(keyId, false)
    const days = given ?? found.key.rotationDays ?? USUAL_DAYS
    call.authorizeKey('kms:EnableKeyRotation', found, { 'kms:RotationPeriodInDays': String(days) })
    checkRotatesItself(call, found)
    if (days === found.key.rotationDays) return null
    const nextRotationMs = nowMs + days * DAY_MS
    store.keys.put({ ...found.key, rotationDays: days, nextRotationMs })
    return null
  },
}

export const disableKeyRotation: Operation = {
  run(call) {
    const found = readKey(call, 'kms:DisableKeyRotation')
    checkRotatesItself(call, found)
    call.store.keys.put({ ...found.key, rotationDays: null, nextRotationMs: null })
    return null
  },
}

/** False for keys that cannot rotate. */
export const getKeyRotationStatus: Operation = {
  run(call) {
    const { key } = readKey(call, 'kms:GetKeyRotationStatus')
    const { rotationDays, nextRotationMs } = key
    const isOn = rotationDays !== null && nextRotationMs !== null && key.deletionMs === null
    const dates = isOn
      ? { RotationPeriodInDays: rotationDays, NextRotationDate: nextRotationMs / 1000 }
      : {}
    return { KeyId: key.id, KeyRotationEnabled: isOn, ...dates }
  },
}

export const rotateKeyOnDemand: Operation = {
  run(call) {
    const { nowMs, store } = call
    const found = readKey(call, 'kms:RotateKeyOnDemand')
    checkRotates(call, found)
    const { key } = found
    const materials = store.materials.list(key.id, 0, Number.MAX_SAFE_INTEGER)
    if (materials.filter(({ cause }) => cause === 'ON_DEMAND').length >= MAX_ON_DEMAND)
      throw new KmsError(
        'LimitExceededException',
        `The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${key.id}`,
      )
    if (key.origin === 'EXTERNAL') rotateToImported(call, found)
    else rotateKey(store, key, { cause: 'ON_DEMAND', nowMs })
    return { KeyId: key.id }
  },
}

export const listKeyRotations: Operation = {
  run(call) {
    const { fields, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const which = fields.choice('IncludeKeyMaterial', ['ALL_KEY_MATERIAL', 'ROTATIONS_ONLY'])
    const page = readPage(fields, { most: 1000, usual: 100 })
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:ListKeyRotations', found)
    checkSymmetric(call, found)
    const { key } = found
    // Without the first material, unless all are asked for.
    const first = which === 'ALL_KEY_MATERIAL' ? 0 : 1
    const after = Math.max(first, Number(page.after) || 0)
    const all = store.materials.list(key.id, after, page.limit + 1)
    const materials = first === 0 ? all : all.filter(({ number }) => number <= key.material)
    const entryOf = (one: MaterialRecord) => rotationOf(one, key)
    return pageOf('Rotations', materials, { page, entryOf, nameOf: (one) => String(one.number) })
  },
}

function rotationOf(material: MaterialRecord, { material: current, origin }: KeyRecord): object {
  const { keyId, id, number, cause, createdMs, description, wrapped } = material
  const isUsed = number <= current
  return {
    KeyId: keyId,
    KeyMaterialId: id,
    KeyMaterialState: number === current ? 'CURRENT' : isUsed ? 'NON_CURRENT' : 'PENDING_ROTATION',
    ...(number > 1 && isUsed ? { RotationDate: createdMs / 1000, RotationType: cause } : {}),
    ...(origin === 'EXTERNAL'
      ? { ImportState: wrapped === null ? 'PENDING_IMPORT' : 'IMPORTED' }
      : {}),
    ...(origin === 'EXTERNAL' && wrapped !== null ? expirationOf(material) : {}),
    ...(description === '' ? {} : { KeyMaterialDescription: description }),
  }
}

/** To the material that was imported for it. */
function rotateToImported({ nowMs, store, place }: Call, { key }: FoundKey): void {
  const next = store.materials.find(key.id, key.material + 1)
  if (next === undefined) {
    const message = `${keyArn(key.id, place)} has no key material that is pending rotation.`
    throw new KmsError('KMSInvalidStateException', message)
  }
  store.materials.put({ ...next, createdMs: nowMs, cause: 'ON_DEMAND' })
  store.keys.put({ ...key, material: next.number })
}

/** @throws KmsError UnsupportedOperationException, too, where material comes from outside. */
function checkRotatesItself(call: Call, found: FoundKey): void {
  const { key } = found
  if (key.origin !== 'AWS_KMS')
    throw unsupported(
      `${keyArn(key.id, call.place)} origin is ${key.origin} which is not valid for this operation.`,
    )
  checkRotates(call, found)
}

function readKey(call: Call, action: string): FoundKey {
  const keyId = call.fields.requiredText('KeyId', MAX_KEY_ID)
  call.fields.end()
  const found = call.key(keyId, false)
  call.authorizeKey(action, found)
  return found
}

/** @throws KmsError DisabledException, KMSInvalidStateException, UnsupportedOperationException. */
function checkRotates(call: Call, found: FoundKey): void {
  checkSymmetric(call, found)
  checkState(found, call.place)
}

function checkSymmetric({ place }: Call, { key }: FoundKey): void {
  const arn = keyArn(key.id, place)
  if (key.spec !== 'SYMMETRIC_DEFAULT')
    throw unsupported(`${arn} key spec is ${key.spec} which is not valid for this operation.`)
}
