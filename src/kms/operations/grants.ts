// CreateGrant, ListGrants, ListRetirableGrants. A grant allows operations beside the policies; it has no condition
// on documents, so only a Deny in the policy restricts it.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html

import { randomBytes } from 'node:crypto'
import { KmsError } from '../kms-error.ts'
import type { GrantRecord } from '../store/grant-table.ts'
import { endDryRun, MAX_GRANTS, type Answer, type Call, type Operation } from './call.ts'
import {
  checkGrantFor,
  grantKeys,
  readGrant,
  refuseServices,
  type NewGrant,
} from './grant-request.ts'
import { keyArn, MAX_KEY_ID, rootUserArn } from './key-names.ts'
import { checkState } from './key-state.ts'
import { pageOf, readPage, type Page } from './pages.ts'

const PAGE = { most: 100, usual: 50 } as const
const MAX_PRINCIPAL = 256
const GRANT_ID = /^[0-9a-f]{64}$/

export const createGrant: Operation = {
  run(call) {
    const { fields, store, place } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const grant = readGrant(fields)
    call.readGrantTokens()
    const isDryRun = fields.flag('DryRun')
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeGrant(found, grant, grantKeys(grant))
    checkState(found, place)
    checkGrantFor(grant, found.key)
    endDryRun(isDryRun)
    const id = known(call, found.key.id, grant) ?? add(call, found.key.id, grant)
    return { GrantId: id, GrantToken: store.grants.tokenOf(id, randomBytes(16)) }
  },
}

export const listGrants: Operation = {
  run(call) {
    const { fields, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const grantId = fields.text('GrantId', 128)
    refuseServices(fields)
    const grantee = fields.text('GranteePrincipal', MAX_PRINCIPAL) ?? null
    const page = readPage(fields, PAGE)
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:ListGrants', found)
    const { after, limit } = page
    const grants =
      grantId === undefined
        ? store.grants.ofKey(found.key.id, { after, count: limit + 1, grantee })
        : [findGrant(call, found.key.id, grantId)]
    return listed(call, grants, page)
  },
}

export const listRetirableGrants: Operation = {
  run(call) {
    const { fields, store } = call
    refuseServices(fields)
    const retiring = fields.requiredText('RetiringPrincipal', MAX_PRINCIPAL)
    const page = readPage(fields, PAGE)
    fields.end()
    call.authorize('kms:ListRetirableGrants')
    return listed(call, store.grants.retirableBy(retiring, page.after, page.limit + 1), page)
  },
}

/** @throws KmsError InvalidGrantIdException, NotFoundException. */
export function findGrant({ store }: Call, keyId: string, grantId: string): GrantRecord {
  if (!GRANT_ID.test(grantId)) throw new KmsError('InvalidGrantIdException', 'Invalid grant ID')
  const grant = store.grants.find(grantId)
  if (grant?.keyId === keyId) return grant
  throw new KmsError('NotFoundException', `Grant ID ${grantId} not found`)
}

/** The id of an identical grant with the same name: a repeated request does not create a second one. */
function known({ store }: Call, keyId: string, grant: NewGrant): string | undefined {
  if (grant.name === '') return undefined
  const grants = store.grants.ofKey(keyId, { after: '', count: MAX_GRANTS })
  return grants.find((one) => essenceOf(one) === essenceOf(grant))?.id
}

function essenceOf(grant: NewGrant): string {
  const { name, grantee, retiring, operations, contextEquals, contextSubset } = grant
  const pairs = [contextEquals, contextSubset].map((one) => one && Object.entries(one).sort())
  return JSON.stringify([name, grantee, retiring, operations, ...pairs])
}

function add({ store, nowMs }: Call, keyId: string, grant: NewGrant): string {
  const count = store.grants.ofKey(keyId, { after: '', count: MAX_GRANTS }).length
  if (count >= MAX_GRANTS)
    throw new KmsError(
      'LimitExceededException',
      `The key already has ${String(MAX_GRANTS)} grants.`,
    )
  const id = randomBytes(32).toString('hex')
  store.grants.add({ ...grant, id, keyId, createdMs: nowMs })
  return id
}

function listed(call: Call, grants: readonly GrantRecord[], page: Page): Answer {
  const entryOf = (one: GrantRecord) => entryFor(one, call)
  return pageOf('Grants', grants, { page, entryOf, nameOf: ({ id }) => id })
}

function entryFor(grant: GrantRecord, { place }: Call): object {
  const { contextEquals, contextSubset, retiring } = grant
  const constraints = {
    ...(contextEquals ? { EncryptionContextEquals: contextEquals } : {}),
    ...(contextSubset ? { EncryptionContextSubset: contextSubset } : {}),
  }
  return {
    KeyId: keyArn(grant.keyId, place),
    GrantId: grant.id,
    ...(grant.name === '' ? {} : { Name: grant.name }),
    CreationDate: grant.createdMs / 1000,
    GranteePrincipal: grant.grantee,
    ...(retiring === '' ? {} : { RetiringPrincipal: retiring }),
    IssuingAccount: rootUserArn(place),
    Operations: grant.operations,
    ...(Object.keys(constraints).length > 0 ? { Constraints: constraints } : {}),
  }
}
