// How a request names a key: its id, its ARN, an alias, an alias's ARN.

import { partitionOf } from '../partition.ts'
import { invalid, KmsError } from '../kms-error.ts'
import type { KeyRecord } from '../store/key-table.ts'
import type { Store } from '../store/store.ts'

/** Where the broker's keys are, as their ARNs say. */
export interface Place {
  readonly region: string
  /** Twelve digits. */
  readonly account: string
}

/** A key, and how the request named it. */
export interface FoundKey {
  readonly key: KeyRecord
  /** The name that the request used; null when it named the key itself. */
  readonly alias: string | null
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const ARN = /^arn:(aws(?:-[a-z-]+)?):kms:([^:]*):([^:]*):(.+)$/
/** AWS's bound for a KeyId. */
export const MAX_KEY_ID = 2048
export const ALIAS = /^alias\/[a-zA-Z0-9/_-]+$/

/** The ARN of a key. */
export function keyArn(id: string, place: Place): string {
  return arnOf(`key/${id}`, place)
}

/** The ARN of an alias; `name` begins with `alias/`. */
export function aliasArn(name: string, place: Place): string {
  return arnOf(name, place)
}

/** The ARN of the account's root user. */
export function rootUserArn({ region, account }: Place): string {
  return `arn:${partitionOf(region)}:iam::${account}:root`
}

function arnOf(name: string, { region, account }: Place): string {
  return `arn:${partitionOf(region)}:kms:${region}:${account}:${name}`
}

/**
 * The key of a KeyId.
 * @throws KmsError NotFoundException, InvalidArnException, ValidationException.
 */
export function findKey(
  keyId: string,
  store: Store,
  { place, aliases }: { readonly place: Place; readonly aliases: boolean },
): FoundKey {
  const name = localName(keyId, place)
  if (name.startsWith('alias/')) {
    if (!aliases) throw invalid(`${keyId}: this operation does not take an alias`)
    return findByAlias(name, store, place)
  }
  const key = UUID.test(name) ? store.keys.find(name) : undefined
  if (key === undefined) throw notFound(`Key '${keyArn(name, place)}' does not exist`)
  return { key, alias: null }
}

function findByAlias(name: string, store: Store, place: Place): FoundKey {
  const record = ALIAS.test(name) ? store.aliases.find(name) : undefined
  const key = record && store.keys.find(record.keyId)
  if (key === undefined) throw notFound(`Alias ${aliasArn(name, place)} is not found.`)
  return { key, alias: name }
}

/** Without the ARN around it. */
function localName(keyId: string, { region, account }: Place): string {
  if (!keyId.startsWith('arn:')) return keyId
  const [, partition, arnRegion, arnAccount, resource = ''] = ARN.exec(keyId) ?? []
  const isKey = resource.startsWith('key/') || resource.startsWith('alias/')
  if (!isKey || partition !== partitionOf(region) || arnRegion !== region)
    throw new KmsError('InvalidArnException', `Invalid arn ${keyId}`)
  if (arnAccount !== account) throw notFound(`Key '${keyId}' does not exist`)
  return resource.replace(/^key\//, '')
}

export function notFound(message: string): KmsError {
  return new KmsError('NotFoundException', message)
}
