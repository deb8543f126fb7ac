// A broker whose master key is sealed to the host chip: no other chip opens its store, an older copy of the store is
// refused, and a backup moves it to another chip.

import { cpSync, existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hostChipStorage, type StorageTpm } from '../../src/chip/index.ts'
import { openStore } from '../../src/kms/open-store.ts'
import { codeOf } from '../fixtures/code-of.ts'
import { callCloister } from '../fixtures/in-process-cli.ts'
import { RunningBroker } from '../fixtures/kms/running-broker.ts'
import { opened, sealedUnderNewKey } from '../fixtures/kms/sealed-word.ts'

let broker: RunningBroker
let tpm: StorageTpm

beforeEach(async () => {
  broker = await RunningBroker.start()
  await broker.stop()
  rmSync(broker.store, { recursive: true })
  tpm = await hostChipStorage(broker.path('state'))
  await broker.restart({ masterKey: { tpm } })
})
afterEach(async () => {
  await broker[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})

const restarted = (chip = tpm): Promise<unknown> =>
  codeOf(broker.restart({ masterKey: { tpm: chip } }))

test('the store opens again on its chip, and on no other', async () => {
  const sealed = await sealedUnderNewKey(broker)
  expect(await restarted()).toBe('accepted')
  expect(await opened(broker, sealed)).toBe('kept')
  await broker.stop()
  expect(await restarted(await hostChipStorage(broker.path('other')))).toBe('ERR_KMS_MASTER_KEY')
  expect(await codeOf(broker.restart())).toBe('ERR_KMS_MASTER_KEY')
  renameSync(`${broker.store}/master.sealed`, broker.path('sealed'))
  expect(await restarted()).toBe('ERR_KMS_MASTER_KEY')
  renameSync(broker.path('sealed'), `${broker.store}/master.sealed`)
  expect(await restarted()).toBe('accepted')
})

describe('a copy of the store', () => {
  const copy = (from: string, to: string): void => {
    rmSync(broker.path(to), { recursive: true, force: true })
    cpSync(broker.path(from), broker.path(to), { recursive: true })
  }

  test('from before the last start is refused, and the latest is not', async () => {
    await broker.stop()
    copy('store', 'older')
    await broker.restart({ masterKey: { tpm } })
    await sealedUnderNewKey(broker)
    await broker.stop()
    copy('store', 'latest')
    copy('older', 'store')
    expect(await restarted()).toBe('ERR_KMS_ROLLBACK')
    copy('latest', 'store')
    expect(await restarted()).toBe('accepted')
  })

  test('that was ahead of the counter when the broker was killed is accepted', async () => {
    await broker.stop()
    const nowMs = Date.now()
    let calls = 0
    const dying: StorageTpm = (work) => {
      calls += 1
      return tpm((channel) =>
        work({
          // The increment of the counter is the third command of its session.
          transmit: (command) =>
            calls > 2 && command[9] === 0x34
              ? Promise.reject(new Error('killed'))
              : channel.transmit(command),
        }),
      )
    }
    await expect(openStore(broker.store, { tpm: dying }, nowMs)).rejects.toThrow('killed')
    expect(await restarted()).toBe('accepted')
  })
})

test('a backup is refused without a passphrase, and moves the store to another chip', async () => {
  const sealed = await sealedUnderNewKey(broker)
  await broker.stop()
  writeFileSync(broker.path('passphrase'), 'correct horse battery staple', { mode: 0o600 })
  writeFileSync(broker.path('wrong'), 'correct horse battery stable', { mode: 0o600 })
  const file = broker.path('backup')
  const passphrase = ['--backup-passphrase-file', broker.path('passphrase')]
  const call = (command: string, store: string, ...args: string[]) =>
    callCloister(
      ['kms', command, file, '--master-key-tpm', '--store', broker.path(store), ...args],
      { CLOISTER_STATE_DIR: broker.path(command === 'backup' ? 'state' : 'new-host') },
    )
  expect((await call('backup', 'store')).stderr).toContain('ERR_KMS_BACKUP: ')
  expect(existsSync(file)).toBe(false)
  const made = await call('backup', 'store', ...passphrase)
  expect(made).toMatchObject({ status: 0, stderr: '' })
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect((await call('backup', 'store', ...passphrase)).stderr).toContain('ERR_KMS_BACKUP: ')
  const wrong = await call('restore', 'moved', '--backup-passphrase-file', broker.path('wrong'))
  expect(wrong.stderr).toContain('ERR_KMS_MASTER_KEY: ')
  expect(existsSync(broker.path('moved'))).toBe(false)
  const moved = await call('restore', 'moved', ...passphrase)
  expect(moved).toMatchObject({ status: 0, stderr: '' })
  expect(JSON.parse(moved.stdout)).toMatchObject({ Keys: 1, Entries: 2 })
  expect((await call('restore', 'moved', ...passphrase)).stderr).toContain('ERR_KMS_BACKUP: ')
  const there = await hostChipStorage(broker.path('new-host'))
  await broker.restart({ store: broker.path('moved'), masterKey: { tpm: there } })
  expect(await opened(broker, sealed)).toBe('kept')
})
