// Two brokers on one PostgreSQL: what one writes the other uses, they keep one audit log, and a server that is killed and
// restarted under load costs no acknowledged change.

import { writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  RotateKeyOnDemandCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildToolkit } from '../fixtures/built-toolkit.ts'
import { startBrokerProcess, type BrokerProcess } from '../fixtures/kms/broker-process.ts'
import { Platform } from '../fixtures/kms/platform.ts'
import { PostgresRelay } from '../fixtures/kms/postgres-relay.ts'
import { PostgresServer } from '../fixtures/kms/postgres-server.ts'
import { ACCOUNT, principals, REGION } from '../fixtures/kms/running-broker.ts'
import { once } from '../fixtures/once.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'
import { TestHost } from '../host.ts'

let directory: TemporaryDirectory
let server: PostgresServer
let options: object
let brokers: readonly { readonly broker: BrokerProcess; readonly client: KMSClient }[]

beforeAll(async () => {
  await buildToolkit()
  directory = await temporaryDirectory()
  server = await PostgresServer.start()
  const path = (name: string, content: string): string => {
    writeFileSync(directory.join(name), content, { mode: 0o600 })
    return directory.join(name)
  }
  options = {
    ...{ store: server.url, region: REGION, account: ACCOUNT, host: '127.0.0.1', port: 0 },
    credentials: path('principals.json', JSON.stringify(principals())),
    masterKey: { passphraseFile: path('passphrase', 'correct horse battery staple') },
    maxDocumentAgeMs: 1000,
  }
  // At once: one of them makes the tables and the master key, and the other finds them.
  const started = () => startBrokerProcess(options, 'ignore')
  brokers = await Promise.all([started(), started()])
})
afterAll(async () => {
  for (const { broker, client } of brokers) {
    client.destroy()
    broker.kill()
    await once(broker, 'close')
  }
  await server[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

/** A key made by one broker, renamed and rotated by the other, whose ciphertexts both decrypt. */
async function roundTrip(one: KMSClient, other: KMSClient, done: string[]): Promise<void> {
  const { KeyMetadata } = await one.send(new CreateKeyCommand({}))
  const KeyId = KeyMetadata?.KeyId ?? ''
  done.push(KeyId)
  const sealed = await one.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from(KeyId) }))
  await other.send(new CreateAliasCommand({ AliasName: `alias/${KeyId}`, TargetKeyId: KeyId }))
  await other.send(new RotateKeyOnDemandCommand({ KeyId }))
  const { CiphertextBlob } = sealed
  const opened = await other.send(new DecryptCommand({ CiphertextBlob }))
  expect(Buffer.from(opened.Plaintext ?? []).toString()).toBe(KeyId)
}

const clients = (): readonly [KMSClient, KMSClient] => {
  const [first, second] = brokers
  if (first === undefined || second === undefined) throw new Error('no brokers')
  return [first.client, second.client]
}

async function verifiedEntries(): Promise<number> {
  await using host = new TestHost()
  const args = ['kms', 'audit', 'verify', '--store', server.url] as const
  return (await host.json<{ Entries: number }>(...args)).Entries
}

test('under load, both write one store and one audit log', async () => {
  const [one, other] = clients()
  const keys: string[] = []
  await Promise.all(
    Array.from({ length: 24 }, (_, count) =>
      count % 2 === 0 ? roundTrip(one, other, keys) : roundTrip(other, one, keys),
    ),
  )
  expect(await server.query('SELECT count(*) FROM keys')).toBe('24')
  expect(await server.query('SELECT count(*) FROM materials')).toBe('48')
  expect(await server.query('SELECT count(*) FROM aliases')).toBe('24')
  expect(await verifiedEntries()).toBe(24 * 5)
  await expect(server.query("UPDATE audit SET entry = '{}'")).rejects.toThrow(/append-only/)
})

test('a broker with other roots than the others is refused', async () => {
  const [mine, theirs] = [await Platform.make(), await Platform.make()]
  const rootsBase64 = [mine, theirs].map(({ root }) => Buffer.from(root).toString('base64'))
  const started = async (roots: readonly string[]): Promise<void> => {
    const { broker, client } = await startBrokerProcess(
      { ...options, rootsBase64: roots },
      'ignore',
    )
    client.destroy()
    broker.kill()
    await once(broker, 'close')
  }
  await Promise.all([started(rootsBase64), started(rootsBase64.toReversed())])
  await expect(started(rootsBase64.slice(1))).rejects.toThrow()
  await started([])
})

test('a server that crashes and restarts under load loses nothing that was acknowledged', async () => {
  const [one, other] = clients()
  const made: string[] = []
  const errors = new Set<string>()
  let isOver = false
  const write = async (client: KMSClient): Promise<void> => {
    while (!isOver) {
      await client.send(new CreateKeyCommand({})).then(
        ({ KeyMetadata }) => made.push(KeyMetadata?.KeyId ?? ''),
        async (error: unknown) => {
          errors.add((error as Error).name)
          await wait(50)
        },
      )
    }
  }
  const writers = [one, other, one, other].map(write)
  for (let restarts = 0; restarts < 3; restarts++) {
    const before = made.length
    await expect.poll(() => made.length).toBeGreaterThan(before + 5)
    await server.restart()
  }
  const after = made.length
  await expect.poll(() => made.length).toBeGreaterThan(after + 5)
  isOver = true
  await Promise.all(writers)
  expect([...errors]).toEqual(['KMSInternalException'])
  for (const KeyId of made) await other.send(new DescribeKeyCommand({ KeyId }))
  await expectWholeStore()
})

test('a broker that is killed under load loses nothing that it acknowledged, and the others go on', async () => {
  const [one] = clients()
  const { broker, client } = await startBrokerProcess(options, 'ignore')
  const closed = once(broker, 'close')
  const made: Record<'killed' | 'other', string[]> = { killed: [], other: [] }
  const write = async (by: keyof typeof made): Promise<void> => {
    const [writer, isOver] =
      by === 'killed' ? [client, () => broker.killed] : [one, () => made.other.length >= 40]
    while (!isOver()) {
      const sent = writer.send(new CreateKeyCommand({}))
      const { KeyMetadata } = await sent.catch((error: unknown) => {
        if (by === 'other' || !broker.killed) throw error
        return { KeyMetadata: undefined }
      })
      if (KeyMetadata?.KeyId !== undefined) made[by].push(KeyMetadata.KeyId)
      if (made.killed.length >= 15) broker.kill('SIGKILL')
    }
  }
  const writers = [...Array<'killed'>(4).fill('killed'), ...Array<'other'>(4).fill('other')]
  await Promise.all(writers.map(write))
  await closed
  client.destroy()
  for (const KeyId of [...made.killed, ...made.other])
    await one.send(new DescribeKeyCommand({ KeyId }))
  await expectWholeStore()
})

test('a server that answers late costs the requests meanwhile, and no later one gets its answer', async () => {
  await using relay = await PostgresRelay.start(server)
  const store = `${relay.url}&query_timeout=3000`
  const { broker, client } = await startBrokerProcess({ ...options, store }, 'ignore')
  const create = async (Description: string) => {
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ Description }))
    return KeyMetadata?.KeyId ?? ''
  }
  const describe = async (KeyId: string) => {
    const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }))
    return KeyMetadata?.Description
  }
  const [one, other] = [await create('one'), await create('other')]
  for (const [lost, found] of [
    [() => describe(one), other],
    [() => create('late'), one],
  ] as const) {
    relay.hold()
    await expect(lost()).rejects.toThrow(expect.objectContaining({ name: 'KMSInternalException' }))
    relay.release()
    await expect.poll(() => describe(found).catch(() => null)).not.toBeNull()
    for (let times = 0; times < 3; times++) {
      expect(await describe(one)).toBe('one')
      expect(await describe(other)).toBe('other')
    }
  }
  expect(await describe(await create('after'))).toBe('after')
  client.destroy()
  broker.kill()
  await once(broker, 'close')
  await verifiedEntries()
})

/** Each key has its material and its entry in the log, which verifies to its end. */
async function expectWholeStore(): Promise<void> {
  const count = (sql: string) => server.query(`SELECT count(*) FROM ${sql}`)
  expect(await count('keys')).toBe(await count('materials WHERE number = 1'))
  expect(await count('keys')).toBe(
    await count(
      `audit WHERE entry::json ->> 'operation' = 'CreateKey' AND entry::json ->> 'error' IS NULL`,
    ),
  )
  expect(await verifiedEntries()).toBe(Number(await count('audit')))
}
