// A broker that is killed while nonces are used, or while it makes its store: a nonce that counted never counts
// again, and the key that signs responses stays what it was.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { randomInt } from 'node:crypto'
import { GenerateRandomCommand, type KMSClient } from '@aws-sdk/client-kms'
import { beforeAll, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../src/kms/index.ts'
import { SqliteDatabase } from '../../src/kms/store/sqlite.ts'
import { Store } from '../../src/kms/store/store.ts'
import { buildToolkit } from '../fixtures/built-toolkit.ts'
import { newBrokerPlace, type BrokerPlace } from '../fixtures/kms/broker-place.ts'
import { spawnBroker, startBrokerProcess } from '../fixtures/kms/broker-process.ts'
import { Platform, rsaPair } from '../fixtures/kms/platform.ts'
import { nextLine, once } from '../fixtures/once.ts'

const ROUNDS = 4
/** At the same time. */
const USERS = 8
const VALID_MS = 300_000

beforeAll(buildToolkit)

test('a nonce whose use was acknowledged is used, and each use that is logged is one', async () => {
  await using place = await newBrokerPlace()
  const platform = await Platform.make()
  const options = {
    ...place.options,
    rootsBase64: [Buffer.from(platform.root).toString('base64')],
    maxDocumentAgeMs: VALID_MS,
  }
  const used: Uint8Array[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const nonces = issue(place, USERS * 4)
    const { broker, client } = await startBrokerProcess(options)
    const closed = once(broker, 'close')
    const [last, before] = [1 + randomInt(USERS * 2), used.length]
    const use = users(client, platform)
    await Promise.allSettled(
      nonces.map(async (nonce) => {
        await use(nonce)
        used.push(nonce)
        if (used.length - before === last) broker.kill('SIGKILL')
      }),
    )
    await closed
    client.destroy()
    expect(used.length - before).toBeGreaterThanOrEqual(last)
    expect(usedIn(place, used)).toBe(used.length)
  }
})

/** Nonces of the store, while no broker has it open. */
function issue({ store, masterKey }: BrokerPlace, count: number): readonly Uint8Array[] {
  using opened = Store.open(store, masterKey)
  return Array.from({ length: count }, () => opened.nonces.issue(Date.now() + VALID_MS))
}

/** Sends a document with a nonce. */
function users(client: KMSClient, platform: Platform): (nonce: Uint8Array) => Promise<void> {
  const { spki } = rsaPair()
  return async (nonce) => {
    const AttestationDocument = await platform.document(spki, { nonce })
    const Recipient = { AttestationDocument, KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' } as const
    await client.send(new GenerateRandomCommand({ NumberOfBytes: 8, Recipient }))
  }
}

/** How many of them are used; the log has as many uses as the table. */
function usedIn({ store, masterKey }: BrokerPlace, nonces: readonly Uint8Array[]): number {
  verifyStoredAudit(store)
  const opened = Store.open(store, masterKey)
  const used = nonces.filter((nonce) => !opened.nonces.isUnused(nonce, Date.now()))
  opened[Symbol.dispose]()
  using database = SqliteDatabase.open(store)
  const count = (what: string): unknown => database.get(`SELECT count(*) AS n FROM ${what}`)?.['n']
  expect(count(`audit WHERE entry ->> 'error' IS NULL`)).toBe(count('used_nonces'))
  return used.length
}

test('a store that was being made opens, and its response key stays the same', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    await using place = await newBrokerPlace()
    const broker = spawnBroker(place.options)
    const closed = once(broker, 'close')
    const file = join(place.store, 'kms.db')
    const answers = nextLine(broker)
    answers.catch(() => undefined) // it is killed before
    while (!existsSync(file)) await Promise.race([answers, wait(1)])
    // Also after it has said that it is ready.
    if (round === 0) await answers
    else await wait(randomInt(60))
    broker.kill('SIGKILL')
    await closed
    const keys = Array.from({ length: 2 }, () => responseKeyOf(place))
    const { broker: second, client } = await startBrokerProcess(place.options)
    client.destroy()
    second.kill('SIGKILL')
    await once(second, 'close')
    expect([...keys, responseKeyOf(place)]).toEqual(Array(3).fill(keys[0]))
  }
})

function responseKeyOf({ store, masterKey }: BrokerPlace): string {
  using opened = Store.open(store, masterKey)
  return opened.responseKey.publicKey
}
