// A broker whose master key a PKCS#11 token makes (SoftHSM): no other token opens its store, and none without its PIN.

import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { codeOf } from '../fixtures/code-of.ts'
import { callCloister } from '../fixtures/in-process-cli.ts'
import { RunningBroker } from '../fixtures/kms/running-broker.ts'
import { opened, sealedUnderNewKey } from '../fixtures/kms/sealed-word.ts'

const MODULE = '/usr/lib/softhsm/libsofthsm2.so'
const PIN = '135790'
const uri = (token: string, key = 'object=master'): string =>
  `pkcs11:token=${token};${key}?module-path=${MODULE}`

let broker: RunningBroker
const before = process.env['SOFTHSM2_CONF']

beforeAll(async () => {
  broker = await RunningBroker.start()
  await broker.stop()
  rmSync(broker.store, { recursive: true })
  mkdirSync(broker.path('tokens'))
  writeFileSync(broker.path('softhsm2.conf'), `directories.tokendir = ${broker.path('tokens')}\n`)
  process.env['SOFTHSM2_CONF'] = broker.path('softhsm2.conf')
  for (const token of ['kms', 'other']) makeToken(token)
  writeFileSync(broker.path('pin'), `${PIN}\n`, { mode: 0o600 })
  writeFileSync(broker.path('wrong-pin'), '000000', { mode: 0o600 })
  writeFileSync(broker.path('public-pin'), PIN, { mode: 0o644 })
})

afterAll(async () => {
  if (before === undefined) delete process.env['SOFTHSM2_CONF']
  else process.env['SOFTHSM2_CONF'] = before
  await broker[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})

function makeToken(label: string): void {
  const pins = ['--pin', PIN, '--so-pin', '246800']
  const stdio = 'ignore'
  execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins], { stdio })
  const session = ['--module', MODULE, '--token-label', label, '--login', '--pin', PIN]
  const make = (type: string, name: string, id: string): void => {
    const key = ['--keygen', '--key-type', type, '--label', name, '--id', id]
    execFileSync('pkcs11-tool', [...session, ...key], { stdio })
  }
  make('AES:32', 'master', '01')
  make('AES:16', 'short', '02')
}

const started = (pkcs11 = uri('kms'), pinFile = broker.path('pin')): Promise<unknown> =>
  codeOf(broker.restart({ masterKey: { pkcs11, pinFile } }))

test('a store opens with its token, and with nothing else', async () => {
  expect(await started()).toBe('accepted')
  const sealed = await sealedUnderNewKey(broker)
  expect(await started(uri('kms', 'id=%01'))).toBe('accepted')
  expect(await opened(broker, sealed)).toBe('kept')
  await broker.stop()
  for (const [pkcs11, pin] of [
    [uri('other'), 'pin'],
    [uri('kms', 'object=short'), 'pin'],
    [uri('kms', 'object=none'), 'pin'],
    [uri('none'), 'pin'],
    [`${uri('kms')}&pin-value=${PIN}`, 'pin'],
    [uri('kms'), 'wrong-pin'],
    [uri('kms'), 'public-pin'],
    [uri('kms'), 'no-pin'],
  ] as const)
    expect(await started(pkcs11, broker.path(pin)), `${pkcs11} ${pin}`).toBe('ERR_KMS_MASTER_KEY')
  expect(await codeOf(broker.restart())).toBe('ERR_KMS_MASTER_KEY')
})

test('a store with another master key is not opened by a token', async () => {
  const store = broker.path('plain')
  const keyFile = broker.path('master.key')
  await broker.restart({ store, masterKey: { keyFile } })
  await broker.stop()
  const masterKey = { pkcs11: uri('kms'), pinFile: broker.path('pin') }
  expect(await codeOf(broker.restart({ store, masterKey }))).toBe('ERR_KMS_MASTER_KEY')
  expect(await codeOf(broker.restart({ store, masterKey: { keyFile } }))).toBe('accepted')
  await broker.stop()
})

test('a backup opens with the token of its store, and with no other', async () => {
  expect(await started()).toBe('accepted')
  const sealed = await sealedUnderNewKey(broker)
  await broker.stop()
  const key = ['--master-key-pkcs11', uri('kms'), '--pkcs11-pin-file', broker.path('pin')]
  const file = broker.path('backup')
  const call = (command: string, store: string, ...more: readonly string[]) =>
    callCloister(['kms', command, file, '--store', broker.path(store), ...more])
  expect(await call('backup', 'store', ...key)).toMatchObject({ status: 0, stderr: '' })
  const other = [key[0] ?? '', uri('other'), ...key.slice(2)]
  expect((await call('restore', 'moved', ...other)).stderr).toContain('ERR_KMS_MASTER_KEY: ')
  expect(await call('restore', 'moved', ...key)).toMatchObject({ status: 0, stderr: '' })
  const masterKey = { pkcs11: uri('kms'), pinFile: broker.path('pin') }
  await broker.restart({ store: broker.path('moved'), masterKey })
  expect(await opened(broker, sealed)).toBe('kept')
  await broker.stop()
  const alone = await call('backup', 'store', '--pkcs11-pin-file', broker.path('pin'))
  expect(alone.stderr).toContain('ERR_CLI_ARGUMENT: ')
})
