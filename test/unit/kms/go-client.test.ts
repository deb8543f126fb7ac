// AWS's SDK for Go, unmodified.

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { BrokerSuite } from '../../fixtures/kms/broker-suite.ts'
import { keysOf, REGION } from '../../fixtures/kms/running-broker.ts'

const run = promisify(execFile)
const cwd = resolve(import.meta.dirname, '../../fixtures/kms/go-client')
const suite = new BrokerSuite()

test('the SDK for Go encrypts, signs, derives and manages keys, and knows the errors', async () => {
  const program = suite.broker.path('go-client')
  const environment = { ...process.env, CGO_ENABLED: '0' }
  await run('go', ['build', '-o', program, '.'], { cwd, env: environment })
  const document = suite.broker.path('document')
  writeFileSync(document, await suite.platform.document(suite.rsa.spki))
  const { accessKeyId, secretAccessKey } = keysOf('root')
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const { stdout } = await run(program, [suite.broker.endpoint, REGION, document], { env })
  const { forRecipient, ...found } = JSON.parse(stdout) as Record<string, unknown>
  expect(suite.open(Buffer.from(String(forRecipient), 'base64')).toString()).toBe('from go')
  expect(found).toEqual({
    ...{ plaintext: 'from go', hidden: true, pair: true, dataKey: true, signature: true },
    ...{ rsa: 'sealed in go', mac: true, rotation: true, deletion: true, keys: 5 },
    ...{ notFound: true, usage: true, dryRun: true, missing: 'UnsupportedOperationException' },
  })
})
