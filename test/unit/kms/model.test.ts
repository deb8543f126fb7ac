// The broker against AWS's own model of KMS: every operation is there or refused in words, every answer has the
// shape of the model, and every constraint of it is checked.

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { MISSING, OPERATIONS } from '../../../src/kms/operations/index.ts'
import { BrokerSuite } from '../../fixtures/kms/broker-suite.ts'
import { keysOf, REGION } from '../../fixtures/kms/running-broker.ts'

const run = promisify(execFile)
const python = resolve(import.meta.dirname, '../../../build/python-clients/bin/python3')
const script = resolve(import.meta.dirname, '../../fixtures/kms/model_check.py')
const suite = new BrokerSuite()

interface Findings {
  readonly operations: readonly string[]
  readonly answered: readonly string[]
  readonly wrong: readonly string[]
}

test('requests and answers of every operation are as AWS’s model says', async () => {
  const { broker, platform, rsa } = suite
  const document = Buffer.from(await platform.document(rsa.spki)).toString('base64')
  const { accessKeyId, secretAccessKey } = keysOf('root')
  const profile = `[root]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`
  writeFileSync(broker.path('aws'), profile, { mode: 0o600 })
  writeFileSync(broker.path('material'), Buffer.alloc(32, 5))
  const env = {
    ...{ PATH: process.env['PATH'], HOME: broker.path('.'), AWS_REGION: REGION },
    ...{ AWS_ENDPOINT_URL_KMS: broker.endpoint, AWS_SHARED_CREDENTIALS_FILE: broker.path('aws') },
  }
  const args = [script, document, broker.path('material')]
  const { stdout } = await run(python, args, { env, maxBuffer: 2 ** 24 })
  const { operations, answered, wrong } = JSON.parse(stdout) as Findings
  expect(wrong).toEqual([])
  expect(answered).toEqual([...OPERATIONS.keys()].sort())
  expect([...OPERATIONS.keys(), ...MISSING].sort()).toEqual([...operations].sort())
})
