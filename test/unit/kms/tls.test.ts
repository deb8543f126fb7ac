// The broker by TLS, as its clients see it.

import { execFile } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { request } from 'node:http'
import { join, resolve } from 'node:path'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { CreateKeyCommand, DescribeKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { policyFor, refusalOf } from '../../fixtures/kms/broker-suite.ts'
import { keysOf, REGION, RunningBroker, type User } from '../../fixtures/kms/running-broker.ts'
import { makeTlsFiles, type TlsPaths } from '../../fixtures/kms/tls-files.ts'
import { once } from '../../fixtures/once.ts'

const run = promisify(execFile)
const bin = resolve(import.meta.dirname, '../../../build/python-clients/bin')

let broker: RunningBroker
let tls: TlsPaths

beforeEach(async () => {
  broker = await RunningBroker.start()
  tls = makeTlsFiles((name) => broker.path(name))
})
afterEach(() => broker[Symbol.asyncDispose]())

const client = (user: User, ca?: string): KMSClient =>
  new KMSClient({
    ...{ endpoint: broker.endpoint, region: REGION, credentials: keysOf(user), maxAttempts: 1 },
    requestHandler: { httpsAgent: new Agent(ca === undefined ? {} : { ca }) },
  })

test('the SDK, the AWS CLI and conditions see TLS', async () => {
  await broker.restart({ tls })
  expect(broker.endpoint).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
  const ca = readFileSync(tls.certificate, 'utf8')
  const root = client('root', ca)
  const Condition = { Bool: { 'aws:SecureTransport': 'true' } }
  const input = { Policy: policyFor(Condition) }
  const { KeyMetadata } = await root.send(new CreateKeyCommand(input))
  const KeyId = KeyMetadata?.KeyId
  const app = client('app', ca)
  await app.send(new DescribeKeyCommand({ KeyId }))
  const { accessKeyId, secretAccessKey } = keysOf('root')
  const env = {
    ...{ PATH: process.env['PATH'], HOME: broker.path('.'), AWS_DEFAULT_REGION: REGION },
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...{ AWS_ENDPOINT_URL_KMS: broker.endpoint, AWS_CA_BUNDLE: tls.certificate },
  }
  const { stdout } = await run(join(bin, 'python3'), [join(bin, 'aws'), 'kms', 'list-keys'], {
    env,
  })
  expect(stdout).toContain(KeyId)
  const stranger = client('root')
  await expect(stranger.send(new DescribeKeyCommand({ KeyId }))).rejects.toThrow(/self.signed/)
  for (const one of [root, app, stranger]) one.destroy()

  await broker.restart()
  const plain = broker.client('app')
  expect(await refusalOf(plain.send(new DescribeKeyCommand({ KeyId })))).toBe(
    'AccessDeniedException',
  )
  plain.destroy()
  expect(broker.faults).toEqual([])
})

test('with TLS any address will do, and nothing is answered in the clear or by old versions', async () => {
  await broker.restart({ tls, host: '::' })
  const port = Number(new URL(broker.endpoint).port)
  const sent = request({ host: '127.0.0.1', port, method: 'POST' })
  sent.end('{}')
  await expect(once(sent, 'response')).rejects.toThrow()
  const old = connect({
    host: '127.0.0.1',
    port,
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
    rejectUnauthorized: false,
    ciphers: 'DEFAULT@SECLEVEL=0',
  })
  await expect(once(old, 'secureConnect')).rejects.toThrow()
})

test('a certificate that is not the key’s, is not valid now, or a key that others read is refused', async () => {
  const other = makeTlsFiles((name) => broker.path(name), 'other')
  const refused = async (files: TlsPaths, now = Date.now): Promise<unknown> =>
    broker.restart({ tls: files, now }).then(
      () => 'started',
      (error: unknown) => (error as { code: string }).code,
    )
  expect(await refused({ ...tls, key: other.key })).toBe('ERR_KMS_TLS')
  expect(await refused(tls, () => Date.now() + 3 * 24 * 3600 * 1000)).toBe('ERR_KMS_TLS')
  expect(await refused({ ...tls, certificate: broker.path('nothing') })).toBe('ERR_KMS_TLS')
  writeFileSync(broker.path('noise'), 'noise')
  expect(await refused({ ...tls, certificate: broker.path('noise') })).toBe('ERR_KMS_TLS')
  chmodSync(tls.key, 0o644)
  expect(await refused(tls)).toBe('ERR_KMS_TLS')
})
