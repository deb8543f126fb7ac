// AWS's SDK for Rust, unmodified, with endpoint and credentials from the environment. The set-up for tests builds it.

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { BrokerSuite } from '../../fixtures/kms/broker-suite.ts'
import { keysOf, REGION } from '../../fixtures/kms/running-broker.ts'

const run = promisify(execFile)
const program = resolve(import.meta.dirname, '../../../build/bin/aws-sdk-rust')
const suite = new BrokerSuite()

interface Findings {
  readonly encryption: { readonly forRecipient: readonly number[] }
}

test('the SDK for Rust encrypts, signs, lists keys, shows a document, and knows the errors', async () => {
  const document = suite.broker.path('document')
  writeFileSync(document, await suite.platform.document(suite.rsa.spki))
  const { accessKeyId, secretAccessKey } = keysOf('root')
  const env = {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...{ AWS_ENDPOINT_URL_KMS: suite.broker.endpoint, AWS_REGION: REGION },
    ...{ AWS_EC2_METADATA_DISABLED: 'true', HOME: suite.broker.path('.') },
  }
  const { stdout } = await run(program, [document], { env })
  const found = JSON.parse(stdout) as Findings
  const answer = suite.open(Buffer.from(found.encryption.forRecipient))
  expect(answer.toString()).toBe('from rust')
  expect(found).toMatchObject({
    encryption: { plaintext: 'from rust', hidden: true, dataKey: 32, pair: true },
    signing: { verified: true, publicKey: true, mac: 32 },
    refusals: {
      ...{ notFound: true, forged: true, usage: true, dryRun: true },
      missing: 'UnsupportedOperationException',
    },
    keys: 4,
  })
})
