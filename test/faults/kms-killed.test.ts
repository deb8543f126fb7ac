// A broker that is killed while it writes: what it acknowledged is there afterwards, nothing is there by
// half, and the audit log has an entry for all of it.

import { createPrivateKey, createPublicKey, randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import {
  CreateAliasCommand,
  CreateGrantCommand,
  CreateKeyCommand,
  DeleteImportedKeyMaterialCommand,
  DisableKeyCommand,
  EnableKeyRotationCommand,
  type KMSClient,
  PutKeyPolicyCommand,
  RevokeGrantCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  TagResourceCommand,
  type CreateGrantCommandInput,
  type CreateKeyCommandInput,
} from '@aws-sdk/client-kms'
import { beforeAll, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../src/kms/index.ts'
import type { KeyRecord } from '../../src/kms/store/key-table.ts'
import type { MasterSecret } from '../../src/kms/store/master-key.ts'
import { SqliteDatabase } from '../../src/kms/store/sqlite.ts'
import { Store } from '../../src/kms/store/store.ts'
import { buildToolkit } from '../fixtures/built-toolkit.ts'
import { spawnBroker, startBrokerProcess } from '../fixtures/kms/broker-process.ts'
import { importMaterial } from '../fixtures/kms/import-material.ts'
import { ACCOUNT, principals, REGION, ROOT_USER } from '../fixtures/kms/running-broker.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

/** `npm run soak` does 200. */
const ROUNDS = Number(process.env['CLOISTER_KILLED_ROUNDS'] ?? 8)
/** Three for each kind of key: each kill interrupts that many writes. */
const WRITERS = 9
/** Of one round: writers begin their second keys. */
const MAX_CHANGES = 72
/** Keys that are deleted one after the other, so that a kill comes between two of them. */
const SCHEDULED = 24
const DAY_MS = 24 * 3600 * 1000

beforeAll(buildToolkit)

/** What the broker said it had done, key by key. */
interface Acknowledged {
  readonly id: string
  name?: string
  policy?: string
  tagged?: true
  rotates?: true
  rotated?: true
  imported?: true
  emptied?: true
  granted?: string
  revoked?: true
  disabled?: true
  deleted?: true
}

interface Place extends AsyncDisposable {
  readonly store: string
  readonly masterKey: MasterSecret
  /** For the broker's process. */
  readonly options: object
}

async function newPlace(): Promise<Place> {
  const directory = await temporaryDirectory()
  writeFileSync(directory.join('principals.json'), JSON.stringify(principals()), { mode: 0o600 })
  writeFileSync(directory.join('master.key'), 'cd'.repeat(32), { mode: 0o600 })
  const store = directory.join('store')
  const masterKey = { keyFile: directory.join('master.key') }
  const options = {
    ...{ store, masterKey, credentials: directory.join('principals.json'), region: REGION },
    ...{ account: ACCOUNT, host: '127.0.0.1', port: 0, maxDocumentAgeMs: 1000 },
  }
  return {
    ...{ store, masterKey, options },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

test('loses nothing that it acknowledged, however often it is killed', async () => {
  await using place = await newPlace()
  const { store, masterKey } = place
  const acknowledged: Acknowledged[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = acknowledged.length
    await killedWhileWriting(place.options, acknowledged)
    using reopened = Store.open(store, masterKey)
    for (const one of acknowledged.slice(before)) checkKey(one, reopened)
  }
  using last = Store.open(store, masterKey)
  for (const one of acknowledged) checkKey(one, last)
  last[Symbol.dispose]()
  expect(acknowledged.length).toBeGreaterThan(ROUNDS)
  const { seq } = verifyStoredAudit(store)
  using database = SqliteDatabase.open(store)
  const count = (sql: string): number => Number(database.get(sql)?.['n'])
  const logged = (operation: string): number =>
    count(
      `SELECT count(*) AS n FROM audit WHERE entry ->> 'operation' = '${operation}' AND entry ->> 'error' IS NULL`,
    )
  const rows = (what: string): number => count(`SELECT count(*) AS n FROM ${what}`)
  expect(seq).toBe(rows('audit'))
  expect(logged('CreateKey')).toBe(rows('keys'))
  expect(rows("keys WHERE origin = 'AWS_KMS'")).toBe(rows("materials WHERE cause = 'CREATED'"))
  expect(logged('ImportKeyMaterial')).toBe(rows("materials WHERE cause = 'IMPORTED'"))
  expect(logged('DeleteImportedKeyMaterial')).toBe(rows('materials WHERE wrapped IS NULL'))
  expect(logged('RotateKeyOnDemand')).toBe(rows('materials WHERE number > 1'))
  expect(logged('EnableKeyRotation')).toBe(rows('keys WHERE rotation_days IS NOT NULL'))
  expect(logged('CreateGrant') - logged('RevokeGrant')).toBe(rows('grants'))
  expect(logged('CreateAlias')).toBe(rows('aliases'))
  expect(logged('TagResource')).toBe(rows("keys WHERE tags <> ''"))
  expect(logged('DisableKey')).toBe(rows('keys WHERE enabled = 0'))
  expect(logged('ScheduleKeyDeletion')).toBe(rows('keys WHERE deletion_ms IS NOT NULL'))
})

/** What was said to be done is; of what was not said, either all or nothing is. */
function checkKey({ id, ...done }: Acknowledged, store: Store): void {
  const key = store.keys.find(id)
  expect(key?.id).toBe(id)
  if (key === undefined) return
  if (done.disabled) expect(key.enabled).toBe(false)
  if (done.policy !== undefined) expect(key.policy).toBe(done.policy)
  if (done.name !== undefined) expect(store.aliases.find(done.name)?.keyId).toBe(id)
  if (done.tagged) expect(key.tags).toEqual({ of: id })
  if (done.rotates) expect(key.rotationDays).toBe(365)
  if (done.rotated) expect(key.material).toBe(2)
  if (done.revoked) expect(store.grants.find(done.granted ?? '')).toBeUndefined()
  if (done.deleted) expect(key.deletionMs).not.toBeNull()
  if (done.imported) expect(key.material).toBe(1)
  if (done.emptied) expect(key.pendingImport).toBe(true)
  expect(key.pendingImport).toBe(store.materials.secret(id, 1) === undefined)
  expect(store.materials.last(id)).toBe(key.material)
  if (key.pendingImport) return
  for (let number = 1; number <= key.material; number++) checkMaterial(key, number, store)
}

function checkMaterial(key: KeyRecord, number: number, store: Store): void {
  const secret = store.materials.secret(key.id, number) ?? new Uint8Array()
  if (key.publicKey === null) {
    expect(secret.length).toBe(32)
    return
  }
  const pkcs8 = { key: Buffer.from(secret), format: 'der', type: 'pkcs8' } as const
  const spki = createPublicKey(createPrivateKey(pkcs8)).export({ format: 'der', type: 'spki' })
  expect(spki.equals(key.publicKey)).toBe(true)
}

async function killedWhileWriting(options: object, acknowledged: Acknowledged[]): Promise<void> {
  const { broker, client } = await startBrokerProcess(options)
  // Before the writers notice: a slow one may do so later than the broker has closed.
  const closed = once(broker, 'close')
  // After so many acknowledgements in this round, whatever they are of.
  const last = 1 + randomInt(MAX_CHANGES)
  let done = 0
  const acknowledge = (): void => {
    done += 1
    if (done === last) broker.kill('SIGKILL')
  }
  const isOver = (): boolean => done >= last
  const changes = { client, acknowledged, acknowledge, isOver }
  await Promise.all(Array.from({ length: WRITERS }, () => write(changes)))
  await closed
  client.destroy()
}

interface Changes {
  readonly client: KMSClient
  readonly acknowledged: Acknowledged[]
  /** Called for each change once the broker has said that it is done. */
  readonly acknowledge: () => void
  readonly isOver: () => boolean
}

/** Changes of every kind, each noted when it was acknowledged, until the broker is gone. */
async function write(changes: Changes): Promise<void> {
  try {
    for (;;) await writeKey(changes)
  } catch (error) {
    if (!changes.isOver()) throw error
  }
}

async function writeKey({ client, acknowledged, acknowledge }: Changes): Promise<void> {
  const kind = kindOf(acknowledged.length)
  const { KeyMetadata } = await client.send(new CreateKeyCommand(kind))
  const KeyId = KeyMetadata?.KeyId ?? ''
  const key: Acknowledged = { id: KeyId }
  acknowledged.push(key)
  acknowledge()
  const done = (what: Partial<Acknowledged>): void => {
    Object.assign(key, what)
    acknowledge()
  }
  const name = `alias/of-${KeyId}`
  await client.send(new CreateAliasCommand({ AliasName: name, TargetKeyId: KeyId }))
  done({ name })
  const Tags = [{ TagKey: 'of', TagValue: KeyId }]
  await client.send(new TagResourceCommand({ KeyId, Tags }))
  done({ tagged: true })
  const policy = policyOf(KeyId)
  await client.send(new PutKeyPolicyCommand({ KeyId, Policy: policy }))
  done({ policy })
  if (kind.Origin === 'EXTERNAL') {
    await importMaterial(client, KeyId, randomBytes(32))
    done({ imported: true })
    await client.send(new DeleteImportedKeyMaterialCommand({ KeyId }))
    done({ emptied: true })
    return
  }
  if (kind.KeySpec === undefined) {
    await client.send(new RotateKeyOnDemandCommand({ KeyId }))
    done({ rotated: true })
    await client.send(new EnableKeyRotationCommand({ KeyId }))
    done({ rotates: true })
  }
  const grant = { KeyId, GranteePrincipal: ROOT_USER, Operations: ['DescribeKey'], Name: 'granted' }
  const { GrantId = '' } = await client.send(
    new CreateGrantCommand(grant as CreateGrantCommandInput),
  )
  done({ granted: GrantId })
  await client.send(new RevokeGrantCommand({ KeyId, GrantId }))
  done({ revoked: true })
  await client.send(new DisableKeyCommand({ KeyId }))
  done({ disabled: true })
  await client.send(new ScheduleKeyDeletionCommand({ KeyId }))
  done({ deleted: true })
}

/** Symmetric keys, keys with a private and a public half, and keys whose material comes from outside. */
function kindOf(count: number): CreateKeyCommandInput {
  if (count % 3 === 0) return {}
  if (count % 3 === 1) return { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }
  return { Origin: 'EXTERNAL' }
}

function policyOf(Sid: string): string {
  const Principal = { AWS: ROOT_USER }
  const statement = { Effect: 'Allow', Principal, Action: 'kms:*', Resource: '*' }
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ Sid, ...statement }] })
}

test('deletes keys whose time has come wholly or not at all, when it is killed meanwhile', async () => {
  await using place = await newPlace()
  const { broker, client } = await startBrokerProcess(place.options)
  const ids = await Promise.all(Array.from({ length: SCHEDULED }, () => newScheduledKey(client)))
  client.destroy()
  broker.kill('SIGKILL')
  await once(broker, 'close')
  let [left, cutShort] = [ids.length, 0]
  while (left > 0) {
    // The first time at once: on a fast disk all of them take no longer than a random while.
    await killedWhileDeleting(place, cutShort === 0 ? 0 : randomInt(25))
    left = wholeKeys(ids, place)
    if (left > 0) cutShort += 1
  }
  expect(cutShort).toBeGreaterThan(0)
})

/** A key with a name, which is to be deleted. */
async function newScheduledKey(client: KMSClient): Promise<string> {
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  const KeyId = KeyMetadata?.KeyId ?? ''
  await client.send(new CreateAliasCommand({ AliasName: `alias/${KeyId}`, TargetKeyId: KeyId }))
  await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
  return KeyId
}

/** A broker that finds at its start that it is time, and is killed so long after its first write. */
async function killedWhileDeleting({ store, options }: Place, afterMs: number): Promise<void> {
  const log = join(store, 'kms.db-wal')
  const sizeOf = (): number => statSync(log, { throwIfNoEntry: false })?.size ?? 0
  const before = sizeOf()
  const broker = spawnBroker({ ...options, aheadMs: 8 * DAY_MS })
  const closed = once(broker, 'close')
  const done = once(broker.stdout, 'data').then(() => true)
  while (sizeOf() === before && !(await Promise.race([done, wait(1).then(() => false)])));
  await wait(afterMs)
  broker.kill('SIGKILL')
  await closed
}

/** How many of them are there; none without its name and material, or with them but no key. */
function wholeKeys(ids: readonly string[], { store, masterKey }: Place): number {
  verifyStoredAudit(store)
  using reopened = Store.open(store, masterKey)
  return ids.filter((id) => {
    const isThere = reopened.keys.find(id) !== undefined
    expect(reopened.materials.last(id)).toBe(isThere ? 1 : 0)
    expect(reopened.aliases.find(`alias/${id}`) !== undefined).toBe(isThere)
    return isThere
  }).length
}
