// Requests that arrive together share a commit: what fails in one of them, or in all, and what is left of it.

import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  ListAliasesCommand,
  ListKeysCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import { expect, test } from 'vitest'
import { verifyStoredAudit } from '../../../src/kms/audit.ts'
import { openStoreFile, tamper } from '../../fixtures/kms/store-file.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'

async function newKey(client: KMSClient): Promise<string> {
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  return KeyMetadata?.KeyId ?? ''
}

/** Which of many aliases were acknowledged, made at once with requests that fail. */
async function aliasesBeside(
  client: KMSClient,
  TargetKeyId: string,
  fail: () => Promise<unknown>,
): Promise<readonly string[]> {
  // Requests on connections that are open arrive together.
  await Promise.all(Array.from({ length: 24 }, () => client.send(new ListKeysCommand({}))))
  const names = Array.from({ length: 12 }, (_, count) => `alias/beside-${String(count)}`)
  const sent = names.flatMap((AliasName) => [
    client.send(new CreateAliasCommand({ AliasName, TargetKeyId })),
    fail(),
  ])
  const settled = await Promise.allSettled(sent)
  return names.filter((_, at) => settled[2 * at]?.status === 'fulfilled')
}

async function namesOf(client: KMSClient): Promise<readonly string[]> {
  const { Aliases = [] } = await client.send(new ListAliasesCommand({}))
  return Aliases.map(({ AliasName = '' }) => AliasName).sort()
}

test('a request that is refused takes nothing of the others with it', async () => {
  await using broker = await RunningBroker.start()
  const client = broker.client('root')
  const id = await newKey(client)
  const taken = { AliasName: 'alias/beside-0', TargetKeyId: id }
  const fail = (): Promise<unknown> => client.send(new CreateAliasCommand({ ...taken }))
  const acknowledged = await aliasesBeside(client, id, fail)
  expect(acknowledged).toHaveLength(12)
  expect(await namesOf(client)).toEqual([...acknowledged].sort())
  client.destroy()
  await broker.stop()
  expect(verifyStoredAudit(broker.store).seq).toBe(1 + 24 + 24 + 1)
})

test('when a commit fails, all who wait for it are told, and what was acknowledged is there', async () => {
  await using broker = await RunningBroker.start()
  const first = broker.client('root')
  const id = await newKey(first)
  first.destroy()
  await broker.stop()
  // As a failing disk does, it undoes the whole transaction.
  tamper(
    broker.path('store/kms.db'),
    `CREATE TRIGGER failing BEFORE INSERT ON audit WHEN NEW.entry LIKE '%"DescribeKey"%'
      BEGIN SELECT RAISE(ROLLBACK, 'the disk fails'); END`,
  )
  await broker.restart()
  const client = broker.client('root')
  const fail = (): Promise<unknown> => client.send(new DescribeKeyCommand({ KeyId: id }))
  const acknowledged = await aliasesBeside(client, id, fail)
  expect(await namesOf(client)).toEqual([...acknowledged].sort())
  await expect(fail()).rejects.toMatchObject({ name: 'KMSInternalException' })
  client.destroy()
  await broker.stop()
  verifyStoredAudit(broker.store)
  const database = openStoreFile(broker.path('store/kms.db'))
  const logged = `audit WHERE entry ->> 'operation' = 'CreateAlias' AND entry ->> 'error' IS NULL`
  for (const rows of ['aliases', logged])
    expect(database.get(`SELECT count(*) AS n FROM ${rows}`)).toEqual({ n: acknowledged.length })
  database.close()
})
