// boto3, the AWS Encryption SDK and the AWS CLI, unmodified, from the virtual environment that the set-up for tests makes.

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openCms } from '../../fixtures/kms/open-cms.ts'
import { Platform, rsaPair } from '../../fixtures/kms/platform.ts'
import { ACCOUNT, keysOf, REGION, RunningBroker, USERS } from '../../fixtures/kms/running-broker.ts'

const run = promisify(execFile)
const bin = resolve(import.meta.dirname, '../../../build/python-clients/bin')
const fixtures = resolve(import.meta.dirname, '../../fixtures/kms')
const rsa = rsaPair()

let platform: Platform
let broker: RunningBroker
let env: NodeJS.ProcessEnv

beforeAll(async () => {
  platform = await Platform.make()
  broker = await RunningBroker.start({ roots: [platform.root] })
  const profiles = USERS.map((user) => {
    const { accessKeyId, secretAccessKey } = keysOf(user)
    return `[${user}]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`
  })
  writeFileSync(broker.path('aws'), profiles.join(''), { mode: 0o600 })
  env = {
    ...{ PATH: process.env['PATH'], HOME: broker.path('.'), AWS_REGION: REGION },
    ...{ AWS_DEFAULT_REGION: REGION, AWS_ENDPOINT_URL_KMS: broker.endpoint },
    ...{ AWS_SHARED_CREDENTIALS_FILE: broker.path('aws'), AWS_EC2_METADATA_DISABLED: 'true' },
  }
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})

test('boto3 makes keys, encrypts, and gets the answer to a document', async () => {
  const document = Buffer.from(await platform.document(rsa.spki)).toString('base64')
  const args = [join(fixtures, 'client.py'), document, Buffer.alloc(48, 1).toString('hex')]
  const { stdout } = await run(join(bin, 'python3'), args, { env })
  const { forRecipient, ...found } = JSON.parse(stdout) as Record<string, string>
  expect(openCms(Buffer.from(forRecipient ?? '', 'base64'), rsa.privateKey).toString()).toBe(
    'from python',
  )
  expect(found).toMatchObject({
    arn: expect.stringMatching(`^arn:aws:kms:${REGION}:${ACCOUNT}:key/`) as string,
    ...{ aliases: ['alias/boto3'], plaintext: 'from python', hidden: true, dataKey: 32 },
    withoutDocument: 'AccessDeniedException',
    otherContext: 'InvalidCiphertextException',
    unknownKey: 'NotFoundException',
    ...{ signature: true, wrongSignature: 'KMSInvalidSignatureException', granted: 'granted' },
    ...{ revoked: 'AccessDeniedException', rotations: 1, deletion: 'PendingDeletion' },
    pending: 'KMSInvalidStateException',
  })
})

test('the AWS Encryption SDK opens what it sealed under two keys, and nothing that was changed', async () => {
  const { stdout } = await run(join(bin, 'python3'), [join(fixtures, 'encryption_sdk.py')], { env })
  expect(JSON.parse(stdout)).toEqual({
    ...{ opened: true, keys: 2, context: 'prod' },
    ...{
      changed: 'InvalidSignature',
      changedContext: 'DecryptKeyError',
      disabled: 'DecryptKeyError',
    },
  })
})

const aws = (...args: readonly string[]) =>
  run(join(bin, 'python3'), [join(bin, 'aws'), '--profile', 'root', 'kms', ...args], { env })

test('the AWS CLI shows a document, and openssl opens the answer, as the guide says', async () => {
  const [key, plaintext, sealed, document, answer] = [
    ...['rsa.pem', 'plaintext', 'secret.sealed', 'document.cose', 'answer.cms'],
  ].map((name) => broker.path(name)) as [string, string, string, string, string]
  writeFileSync(key, rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }))
  writeFileSync(plaintext, 'from the guide')
  writeFileSync(document, await platform.document(rsa.spki))
  const query = (name: string) => ['--query', name, '--output', 'text']
  const made = await aws('create-key', ...query('KeyMetadata.KeyId'))
  const given = ['--key-id', made.stdout.trim(), '--plaintext', `fileb://${plaintext}`]
  const blob = await aws('encrypt', ...given, ...query('CiphertextBlob'))
  writeFileSync(sealed, Buffer.from(blob.stdout, 'base64'))
  const recipient = `KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,AttestationDocument@=fileb://${document}`
  const shown = ['--ciphertext-blob', `fileb://${sealed}`, '--recipient', recipient]
  const { stdout } = await aws('decrypt', ...shown, ...query('CiphertextForRecipient'))
  writeFileSync(answer, Buffer.from(stdout, 'base64'))
  const opening = ['cms', '-decrypt', '-inform', 'DER', '-inkey', key, '-in', answer]
  expect((await run('openssl', opening)).stdout).toBe('from the guide')
})

test('the AWS CLI makes a key, reads its policy and is told what is not there', async () => {
  const made = JSON.parse((await aws('create-key', '--description', 'by hand')).stdout) as {
    readonly KeyMetadata: { readonly KeyId: string }
  }
  const id = made.KeyMetadata.KeyId
  const policy = await aws(
    'get-key-policy',
    '--key-id',
    id,
    '--output',
    'text',
    '--query',
    'Policy',
  )
  expect(policy.stdout).toContain(`arn:aws:iam::${ACCOUNT}:root`)
  await expect(aws('get-key-last-usage', '--key-id', id)).rejects.toThrow(
    /UnsupportedOperationException.*GetKeyLastUsage: this broker does not have this operation yet/,
  )
})
