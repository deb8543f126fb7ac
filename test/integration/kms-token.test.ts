// A broker whose master key a PKCS#11 token makes (SoftHSM): no other token opens its store, and none without its PIN.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { CreateKeyCommand, DecryptCommand, EncryptCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildToolkit } from '../fixtures/built-toolkit.ts'
import { codeOf } from '../fixtures/code-of.ts'
import { callCloister } from '../fixtures/in-process-cli.ts'
import { spawnBroker, startBrokerProcess } from '../fixtures/kms/broker-process.ts'
import { ACCOUNT, REGION, RunningBroker } from '../fixtures/kms/running-broker.ts'
import { PostgresServer } from '../fixtures/kms/postgres-server.ts'
import { opened, sealedUnderNewKey } from '../fixtures/kms/sealed-word.ts'
import { once } from '../fixtures/once.ts'

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

const pkcs11Tool = (token: string, ...args: readonly string[]): void => {
  const session = ['--module', MODULE, '--token-label', token, '--login', '--pin', PIN]
  execFileSync('pkcs11-tool', [...session, ...args], { stdio: 'ignore' })
}

/** A login that succeeds, after which the token has forgotten the wrong PINs. */
const logIn = (token: string): void => {
  pkcs11Tool(token, '--list-objects')
}

function makeToken(label: string): void {
  const pins = ['--pin', PIN, '--so-pin', '246800']
  const stdio = 'ignore'
  execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins], { stdio })
  const make = (type: string, name: string, id: string): void => {
    pkcs11Tool(label, '--keygen', '--key-type', type, '--label', name, '--id', id)
  }
  make('AES:32', 'master', '01')
  make('AES:16', 'short', '02')
}

/** A module whose tokens have more flags. */
function changedModule(flags = 0): string {
  const shim = broker.path(`flags-${String(flags)}.so`)
  const source = resolve(import.meta.dirname, '../fixtures/kms/changed-token.c')
  const names = [`-DMODULE="${MODULE}"`, `-DABSENT="${broker.path('absent')}"`]
  execFileSync('gcc', [
    '-shared',
    '-fPIC',
    '-o',
    shim,
    ...names,
    `-DFLAGS=${String(flags)}`,
    source,
  ])
  return shim
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
  logIn('kms')
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

test('after a wrong PIN, the next start tries none, until somebody has logged in', async () => {
  const start = async (pin: string): Promise<string> =>
    broker
      .restart({ masterKey: { pkcs11: uri('kms'), pinFile: broker.path(pin) } })
      .then(() => 'started', String)
  expect(await start('wrong-pin')).toContain('refused to use its key')
  for (const pin of ['wrong-pin', 'pin'])
    expect(await start(pin)).toContain('a wrong PIN was given')
  logIn('kms')
  expect(await start('pin')).toBe('started')
  await broker.stop()
})

test.each([
  ['has one try left', 0x20000],
  ['is locked', 0x40000],
])('a PIN that %s is not tried', async (said, flag) => {
  const pkcs11 = uri('kms').replace(MODULE, changedModule(flag))
  const masterKey = { pkcs11, pinFile: broker.path('wrong-pin') }
  expect(await broker.restart({ masterKey }).then(() => 'started', String)).toContain(said)
  // The token has not seen the wrong PIN.
  expect(await started()).toBe('accepted')
  await broker.stop()
})

test('a token that is missing while another process logs in is looked for again', async () => {
  const pkcs11 = uri('kms').replace(MODULE, changedModule())
  const absent = ['list', 'login'].map((moment) => broker.path(`absent-${moment}`))
  for (const file of absent) writeFileSync(file, '')
  expect(await started(pkcs11)).toBe('accepted')
  await broker.stop()
  expect(absent.filter((file) => existsSync(file))).toEqual([])
  const gone = uri('gone').replace(MODULE, changedModule())
  const masterKey = { pkcs11: gone, pinFile: broker.path('pin') }
  const refusal = await broker.restart({ masterKey }).then(() => 'started', String)
  expect(refusal).toContain('the PKCS#11 module has no token with the label gone')
})

test('a token makes the master key of a PostgreSQL database, which brokers share', async () => {
  await buildToolkit()
  await using server = await PostgresServer.start()
  const options = (masterKey: object) => ({
    ...{
      store: server.url,
      credentials: broker.path('principals.json'),
      region: REGION,
      masterKey,
    },
    ...{ account: ACCOUNT, host: '127.0.0.1', port: 0, maxDocumentAgeMs: 1000 },
  })
  const pinFile = broker.path('pin')
  const start = () => startBrokerProcess(options({ pkcs11: uri('kms'), pinFile }))
  const brokers = await Promise.all([start(), start()])
  const [one, other] = brokers.map(({ client }) => client)
  const made = await one?.send(new CreateKeyCommand({}))
  const KeyId = made?.KeyMetadata?.KeyId
  const sealed = await one?.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('kept') }))
  const opened = await other?.send(new DecryptCommand({ CiphertextBlob: sealed?.CiphertextBlob }))
  expect(Buffer.from(opened?.Plaintext ?? []).toString()).toBe('kept')
  for (const { broker: process, client } of brokers) {
    client.destroy()
    process.kill()
    await once(process, 'close')
  }
  for (const wrong of [{ keyFile: broker.path('master.key') }, { pkcs11: uri('other'), pinFile }]) {
    const refused = spawnBroker(options(wrong), 'ignore')
    expect(await once(refused, 'close')).toEqual([1, null])
  }
})

test('a key whose id another one has is refused: the token might use that one', async () => {
  pkcs11Tool('other', '--keygen', '--key-type', 'AES:32', '--label', 'second', '--id', '01')
  const store = broker.path('twins')
  for (const key of ['object=master', 'object=second', 'id=%01', 'object=master;id=%01']) {
    const masterKey = { pkcs11: uri('other', key), pinFile: broker.path('pin') }
    expect(await codeOf(broker.restart({ store, masterKey })), key).toBe('ERR_KMS_MASTER_KEY')
  }
})
