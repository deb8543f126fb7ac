// Backups of a store whose master key is in a file: whole, opened with the same file, and refused when damaged.

import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { CreateAliasCommand, CreateKeyCommand, DescribeKeyCommand } from '@aws-sdk/client-kms'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { callCloister } from '../../fixtures/in-process-cli.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { tamper } from '../../fixtures/kms/store-file.ts'

let broker: RunningBroker
let file: string

beforeEach(async () => {
  broker = await RunningBroker.start()
  file = broker.path('backup')
  const client = broker.client('root')
  const { KeyMetadata } = await client.send(new CreateKeyCommand({ Description: 'kept' }))
  const TargetKeyId = KeyMetadata?.KeyId
  await client.send(new CreateAliasCommand({ AliasName: 'alias/kept', TargetKeyId }))
  client.destroy()
})
afterEach(() => broker[Symbol.asyncDispose]())

const call = (command: string, store = 'store', ...more: string[]) => {
  const key = ['--master-key-file', broker.path('master.key')]
  const args = ['kms', command, file, '--store', broker.path(store), ...key, ...more]
  return callCloister(args, { CLOISTER_STATE_DIR: broker.path('state') })
}

test('a backup is made while no broker runs, and restored to a directory without a store', async () => {
  expect((await call('backup')).stderr).toContain('ERR_KMS_STORE: ')
  await broker.stop()
  const made = await call('backup')
  expect(made.stderr).toBe('')
  expect(JSON.parse(made.stdout)).toMatchObject({ Keys: 1, Entries: 2 })
  expect((await call('restore')).stderr).toContain('ERR_KMS_BACKUP: ')
  expect((await call('restore', 'parent/second')).stderr).toBe('')
  await broker.restart({ store: broker.path('parent/second') })
  const client = broker.client('root')
  const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId: 'alias/kept' }))
  expect(KeyMetadata?.Description).toBe('kept')
  client.destroy()
  expect(readdirSync(broker.path('parent'))).toEqual(['second'])
})

test('a store with a changed row or log gives no backup, and a damaged backup no store', async () => {
  await broker.stop()
  expect((await call('backup')).status).toBe(0)
  tamper(broker.path('store/kms.db'), "UPDATE aliases SET name = 'alias/other'")
  const first = file
  file = broker.path('second')
  expect((await call('backup')).stderr).toContain('ERR_KMS_STORE: a row of aliases was changed')
  expect(existsSync(file)).toBe(false)
  file = first
  tamper(file, "UPDATE keys SET policy = replace(policy, 'root', 'evil')")
  expect((await call('restore', 'other')).stderr).toContain('ERR_KMS_STORE: ')
  writeFileSync(file, 'noise'.repeat(4000))
  expect((await call('restore', 'other')).stderr).toContain(
    `ERR_KMS_BACKUP: ${file} is not a backup of a store`,
  )
  expect(existsSync(broker.path('other'))).toBe(false)
})

test('a path that cannot be written or read is refused before anything is there', async () => {
  await broker.stop()
  file = broker.path('missing/backup')
  expect((await call('backup')).stderr).toContain('ERR_KMS_BACKUP: ')
  expect((await call('restore', 'other')).stderr).toContain('ERR_KMS_BACKUP: ')
  mkdirSync(broker.path('taken'), { mode: 0o700 })
  chmodSync(broker.path('taken'), 0o700)
  writeFileSync(broker.path('taken/file'), '')
  expect((await call('restore', 'taken')).stderr).toContain('ERR_KMS_BACKUP: ')
  expect(readdirSync(broker.path('taken'))).toEqual(['file'])
})
