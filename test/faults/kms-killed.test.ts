// A broker that is killed while it writes: what it acknowledged is there afterwards, nothing is there by
// half, and the audit log has an entry for all of it.

import { createPrivateKey, createPublicKey, randomBytes, randomInt } from 'node:crypto'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  EnableKeyRotationCommand,
  type KMSClient,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms'
import { beforeAll, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../src/kms/index.ts'
import type { KeyRecord } from '../../src/kms/store/key-table.ts'
import { SqliteDatabase } from '../../src/kms/store/sqlite.ts'
import { Store } from '../../src/kms/store/store.ts'
import { writeKey, type Acknowledged, type Changes } from '../fixtures/kms/acknowledged-writes.ts'
import { buildToolkit } from '../fixtures/built-toolkit.ts'
import { newBrokerPlace, type BrokerPlace } from '../fixtures/kms/broker-place.ts'
import { spawnBroker, startBrokerProcess } from '../fixtures/kms/broker-process.ts'
import { importMaterial } from '../fixtures/kms/import-material.ts'
import { nextLine, once } from '../fixtures/once.ts'

/** `npm run soak` does 200. */
const ROUNDS = Number(process.env['CLOISTER_KILLED_ROUNDS'] ?? 8)
/** Three for each kind of key: each kill interrupts that many writes. */
const WRITERS = 9
/** Of one round: writers begin their second keys. */
const MAX_CHANGES = 200
/** Keys that are deleted one after the other, so that a kill comes between two of them; each takes many writes. */
const SCHEDULED = 24
/** A kill comes before so many, so that it takes several. */
const MAX_WRITES = 200
const DAY_MS = 24 * 3600 * 1000

beforeAll(buildToolkit)

test('loses nothing that it acknowledged, however often it is killed', async () => {
  await using place = await newBrokerPlace()
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
  const left = (made: string, undone: string): number => logged(made) - logged(undone)
  const ended = logged('RevokeGrant') + logged('RetireGrant')
  expect(left('EnableKeyRotation', 'DisableKeyRotation')).toBe(
    rows('keys WHERE rotation_days IS NOT NULL'),
  )
  expect(logged('CreateGrant') - ended).toBe(rows('grants'))
  expect(left('CreateAlias', 'DeleteAlias')).toBe(rows('aliases'))
  expect(logged('TagResource')).toBe(rows("keys WHERE tags <> ''"))
  expect(left('TagResource', 'UntagResource')).toBe(rows("keys WHERE tags LIKE '%gone%'"))
  expect(logged('UpdateKeyDescription')).toBe(rows("keys WHERE description <> ''"))
  expect(left('DisableKey', 'EnableKey')).toBe(rows('keys WHERE enabled = 0'))
  expect(left('ScheduleKeyDeletion', 'CancelKeyDeletion')).toBe(
    rows('keys WHERE deletion_ms IS NOT NULL'),
  )
})

/** What was said to be done is; of what was not said, either all or nothing is. */
function checkKey({ id, ...done }: Acknowledged, store: Store): void {
  const key = store.keys.find(id)
  expect(key?.id).toBe(id)
  if (key === undefined) return
  if (done.enabled !== undefined) expect(key.enabled).toBe(done.enabled)
  if (done.description !== undefined) expect(key.description).toBe(done.description)
  if (done.policy !== undefined) expect(key.policy).toBe(done.policy)
  if (done.name !== undefined) expect(store.aliases.find(done.name)?.keyId).toBe(id)
  if (done.second !== undefined)
    expect(store.aliases.find(`alias/second-of-${id}`)?.keyId ?? null).toBe(done.second)
  if (done.tags !== undefined) expect(key.tags).toEqual(done.tags)
  if (done.rotates !== undefined) expect(key.rotationDays).toBe(done.rotates ? 365 : null)
  if (done.rotated) expect(key.material).toBe(2)
  for (const grant of [done.revoked, done.retired])
    if (grant !== undefined) expect(store.grants.find(grant)).toBeUndefined()
  if (done.deleted !== undefined) expect(key.deletionMs !== null).toBe(done.deleted)
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
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  const home = KeyMetadata?.KeyId ?? ''
  const changes = { client, acknowledged, acknowledge, home }
  await Promise.all(Array.from({ length: WRITERS }, () => write(changes, isOver)))
  await closed
  client.destroy()
}

/** Changes of every kind, each noted when it was acknowledged, until the broker is gone. */
async function write(changes: Changes, isOver: () => boolean): Promise<void> {
  try {
    for (;;) await writeKey(changes)
  } catch (error) {
    if (!isOver()) throw error
  }
}

test('deletes keys whose time has come wholly or not at all, when it is killed meanwhile', async () => {
  await using place = await newBrokerPlace()
  const { broker, client } = await startBrokerProcess(place.options)
  const ids = await Promise.all(Array.from({ length: SCHEDULED }, () => newScheduledKey(client)))
  client.destroy()
  broker.kill('SIGKILL')
  await once(broker, 'close')
  expect(await killedUntilDone(place, 8, () => wholeKeys(ids, place))).toBeGreaterThan(0)
})

test('rotates keys and forgets expired material wholly or not at all, when it is killed meanwhile', async () => {
  await using place = await newBrokerPlace()
  const { broker, client } = await startBrokerProcess(place.options)
  const keys = Array.from({ length: SCHEDULED }, (_, at) =>
    at % 2 === 0 ? newRotatingKey(client) : newExpiringKey(client),
  )
  const ids = await Promise.all(keys)
  client.destroy()
  broker.kill('SIGKILL')
  await once(broker, 'close')
  expect(await killedUntilDone(place, 400, () => unkeptKeys(ids, place))).toBeGreaterThan(0)
})

/**
 * Brokers that find at their start that so many days are over, and are killed at work, until none of it is left; how
 * often some was left.
 */
async function killedUntilDone(
  place: BrokerPlace,
  days: number,
  left: () => number,
): Promise<number> {
  for (let cutShort = 0; ; cutShort++) {
    // The first time before all of them can be done.
    await killedAtWork(place, days, cutShort === 0 ? SCHEDULED : randomInt(MAX_WRITES))
    if (left() === 0) return cutShort
  }
}

async function newRotatingKey(client: KMSClient): Promise<string> {
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  const KeyId = KeyMetadata?.KeyId ?? ''
  await client.send(new EnableKeyRotationCommand({ KeyId }))
  return KeyId
}

async function newExpiringKey(client: KMSClient): Promise<string> {
  const { KeyMetadata } = await client.send(new CreateKeyCommand({ Origin: 'EXTERNAL' }))
  const KeyId = KeyMetadata?.KeyId ?? ''
  const ValidTo = new Date(Date.now() + 30 * DAY_MS)
  await importMaterial(client, KeyId, randomBytes(32), {
    ValidTo,
    ExpirationModel: 'KEY_MATERIAL_EXPIRES',
  })
  return KeyId
}

/** How many were not rotated, or have material that has expired; each change is in the log. */
function unkeptKeys(ids: readonly string[], { store, masterKey }: BrokerPlace): number {
  verifyStoredAudit(store)
  using reopened = Store.open(store, masterKey)
  const unkept = ids.filter((id) => {
    const key = reopened.keys.find(id)
    expect(reopened.materials.last(id)).toBe(key?.material)
    const secrets = Array.from({ length: key?.material ?? 0 }, (_, at) =>
      reopened.materials.secret(id, at + 1),
    )
    if (key?.origin === 'EXTERNAL') {
      expect(secrets).toEqual([key.pendingImport ? undefined : expect.any(Uint8Array)])
      return !key.pendingImport
    }
    for (const secret of secrets) expect(secret).toHaveLength(32)
    return secrets.length < 2
  })
  reopened[Symbol.dispose]()
  using database = SqliteDatabase.open(store)
  const logged = database.get(
    `SELECT count(*) AS n FROM audit WHERE entry ->> 'operation' IN ('RotateKey', 'DeleteExpiredKeyMaterial')`,
  )
  expect(Number(logged?.['n'])).toBe(ids.length - unkept.length)
  return unkept.length
}

/** A key with a name, which is to be deleted. */
async function newScheduledKey(client: KMSClient): Promise<string> {
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  const KeyId = KeyMetadata?.KeyId ?? ''
  await client.send(new CreateAliasCommand({ AliasName: `alias/${KeyId}`, TargetKeyId: KeyId }))
  await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
  return KeyId
}

/** A broker that finds at its start that it is time, and is killed after so many writes, or when its work is done. */
async function killedAtWork({ options }: BrokerPlace, days: number, writes: number): Promise<void> {
  const broker = spawnBroker({ ...options, aheadMs: days * DAY_MS, writes })
  const closed = once(broker, 'close')
  await nextLine(broker).then(
    () => broker.kill('SIGKILL'),
    () => undefined, // it was killed before
  )
  expect(await closed).toEqual([null, 'SIGKILL'])
}

/** How many of them are there; none without its name and material, or with them but no key. */
function wholeKeys(ids: readonly string[], { store, masterKey }: BrokerPlace): number {
  verifyStoredAudit(store)
  using reopened = Store.open(store, masterKey)
  return ids.filter((id) => {
    const isThere = reopened.keys.find(id) !== undefined
    expect(reopened.materials.last(id)).toBe(isThere ? 1 : 0)
    expect(reopened.aliases.find(`alias/${id}`) !== undefined).toBe(isThere)
    return isThere
  }).length
}
