// Whether a key can do what is asked, in the order of AWS's checks: its state, then its use.
// @see https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html

import { algorithmsOf, isAsymmetric, type KeyUsage } from '../crypto/key-specs.ts'
import { KmsError } from '../kms-error.ts'
import type { KeyRecord } from '../store/key-table.ts'
import { keyArn, type FoundKey, type Place } from './key-names.ts'

export type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion' | 'PendingImport'

export function stateOf({ deletionMs, pendingImport, enabled }: KeyRecord): KeyState {
  if (deletionMs !== null) return 'PendingDeletion'
  if (pendingImport) return 'PendingImport'
  return enabled ? 'Enabled' : 'Disabled'
}

/**
 * Refuses a key in any other than the given states.
 * @throws KmsError KMSInvalidStateException, DisabledException.
 */
export function checkState(
  { key }: FoundKey,
  place: Place,
  allowed: readonly KeyState[] = ['Enabled'],
): void {
  const state = stateOf(key)
  if (allowed.includes(state)) return
  const arn = keyArn(key.id, place)
  if (state === 'Disabled') throw new KmsError('DisabledException', `${arn} is disabled.`)
  const pending = state === 'PendingImport' ? 'import' : 'deletion'
  throw new KmsError('KMSInvalidStateException', `${arn} is pending ${pending}.`)
}

/** What an operation asks of its key. */
export interface Needs {
  /** The operation's name, for the words of the refusal. */
  readonly operation: string
  readonly usage: KeyUsage
  readonly algorithm?: string
}

/**
 * Refuses a key that is not usable now, or not for this.
 * @throws KmsError KMSInvalidStateException, DisabledException, InvalidKeyUsageException.
 */
export function checkUsable(
  found: FoundKey,
  place: Place,
  { operation, usage, algorithm }: Needs,
): void {
  checkState(found, place)
  const { key } = found
  if (key.usage !== usage)
    throw wrongUsage(
      `${keyArn(key.id, place)} key usage is ${key.usage} which is not valid for ${operation}.`,
    )
  if (algorithm !== undefined && algorithmsOf(key.spec, usage)?.includes(algorithm) !== true)
    throw wrongUsage(`Algorithm ${algorithm} is incompatible with key spec ${key.spec}.`)
}

/** @throws KmsError UnsupportedOperationException unless the key's material comes from outside. */
export function checkImported({ key }: FoundKey, place: Place): void {
  if (key.origin === 'EXTERNAL') return
  const message = `${keyArn(key.id, place)} origin is ${key.origin} which is not valid for this operation.`
  throw new KmsError('UnsupportedOperationException', message)
}

/** @throws KmsError UnsupportedOperationException. */
export function checkAsymmetric({ key }: FoundKey, place: Place): void {
  if (isAsymmetric(key.spec)) return
  const message = `${keyArn(key.id, place)} key spec is ${key.spec} which is not valid for this operation.`
  throw new KmsError('UnsupportedOperationException', message)
}

function wrongUsage(message: string): KmsError {
  return new KmsError('InvalidKeyUsageException', message)
}
