// Documents that count once: with a nonce of the broker, where a policy asks for it. And a presigned request as the
// broker gets it.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyPairCommand,
  type DecryptCommandInput,
  type RecipientInfo,
} from '@aws-sdk/client-kms'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../../../src/files/index.ts'
import { Store } from '../../../src/kms/store/store.ts'
import { BrokerSuite, measured, policyFor, refusalOf } from '../../fixtures/kms/broker-suite.ts'
import { sendRequest } from '../../fixtures/kms/send-request.ts'
import { presigned, signed } from '../../fixtures/kms/signed-request.ts'

const suite = new BrokerSuite()

async function newNonce(): Promise<Uint8Array> {
  const headers = { 'x-amz-target': 'CloisterService.CreateNonce' }
  const request = await signed({ headers, atMs: Date.now() })
  const { Nonce, ValidTo } = await sendRequest(suite.broker.endpoint, request)
  expect(Number(ValidTo) * 1000 - Date.now()).toBeGreaterThan(200_000)
  return Buffer.from(String(Nonce), 'base64')
}

async function sealed(Condition: object): Promise<(Recipient: RecipientInfo) => Promise<unknown>> {
  const KeyId = await suite.newKey(policyFor(Condition))
  const command = new EncryptCommand({ KeyId, Plaintext: Buffer.from('x') })
  const { CiphertextBlob } = await suite.client('root').send(command)
  return (Recipient) => {
    const input: DecryptCommandInput = { CiphertextBlob, Recipient }
    return suite.client('app').send(new DecryptCommand(input))
  }
}

const once = { ...measured, Bool: { 'cloister:RecipientAttestation:UnusedNonce': 'true' } }

test('a document with a nonce of the broker counts once, and one without does not count', async () => {
  const decrypt = await sealed(once)
  const nonce = await newNonce()
  expect(nonce.length).toBe(56)
  const recipient = await suite.recipient(undefined, { nonce })
  expect(await decrypt(recipient)).toHaveProperty('CiphertextForRecipient')
  expect(await refusalOf(decrypt(recipient))).toBe('AccessDeniedException')
  const another = await suite.recipient(undefined, { nonce })
  expect(await refusalOf(decrypt(another))).toBe('AccessDeniedException')
  expect(await refusalOf(decrypt(await suite.recipient()))).toBe('AccessDeniedException')
})

test.each([
  ['that the broker did not issue', (nonce: Buffer) => nonce.fill(1, 55)],
  ['whose end was changed', (nonce: Buffer) => nonce.fill(0xff, 20, 24)],
  ['that is cut short', (nonce: Buffer) => nonce.subarray(0, 55)],
])('a nonce %s does not count', async (_what, change) => {
  const decrypt = await sealed(once)
  const nonce = change(Buffer.from(await newNonce()))
  const recipient = await suite.recipient(undefined, { nonce })
  expect(await refusalOf(decrypt(recipient))).toBe('AccessDeniedException')
})

test('a request that was refused does not use the nonce up', async () => {
  const decrypt = await sealed(once)
  const other = await sealed({ ...once, StringEquals: { 'kms:EncryptionContext:a': 'b' } })
  const recipient = await suite.recipient(undefined, { nonce: await newNonce() })
  expect(await refusalOf(other(recipient))).toBe('AccessDeniedException')
  expect(await decrypt(recipient)).toHaveProperty('CiphertextForRecipient')
})

test('a refused request for a key pair does not use the nonce up, and of several at once one succeeds', async () => {
  const pair = async (Condition: object) => {
    const KeyId = await suite.newKey(policyFor(Condition))
    return (Recipient: RecipientInfo) =>
      suite
        .client('app')
        .send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'ECC_NIST_P256', Recipient }))
  }
  const allowed = await pair(once)
  const other = await pair({ ...once, StringEquals: { 'kms:EncryptionContext:a': 'b' } })
  const recipient = await suite.recipient(undefined, { nonce: await newNonce() })
  expect(await refusalOf(other(recipient))).toBe('AccessDeniedException')
  const results = await Promise.allSettled(Array.from({ length: 4 }, () => allowed(recipient)))
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(await refusalOf(allowed(recipient))).toBe('AccessDeniedException')
})

test('a nonce expires, and a used one is remembered until it has by every clock', () => {
  using scratch = temporaryDirectory('nonces')
  const keyFile = join(scratch.path, 'master.key')
  writeFileSync(keyFile, 'ab'.repeat(32), { mode: 0o600 })
  using store = Store.open(join(scratch.path, 'store'), { keyFile })
  const use = (nonce: Uint8Array, nowMs: number): boolean =>
    store.transaction(() => store.nonces.use(nonce, nowMs))
  const dayMs = 24 * 60 * 60 * 1000
  const nonce = store.nonces.issue(1000)
  expect(use(nonce, 1000)).toBe(false)
  expect(use(nonce, 999)).toBe(true)
  // By a broker whose clock is ahead.
  store.nonces.forgetExpired(999 + dayMs)
  expect(use(nonce, 0)).toBe(false)
  store.nonces.forgetExpired(1000 + dayMs)
  expect(use(nonce, 0)).toBe(true)
})

test('without the condition, a nonce of any kind makes no difference', async () => {
  const decrypt = await sealed(measured)
  const recipient = await suite.recipient(undefined, { nonce: Buffer.from('their own') })
  expect(await decrypt(recipient)).toHaveProperty('CiphertextForRecipient')
  expect(await decrypt(recipient)).toHaveProperty('CiphertextForRecipient')
})

test('a presigned request is answered, wherever it names its operation', async () => {
  for (const targetInHeader of [true, false]) {
    const body = '{"NumberOfBytes":8}'
    const request = await presigned({
      body,
      atMs: Date.now(),
      targetInHeader,
      operation: 'GenerateRandom',
    })
    const { Plaintext } = await sendRequest(suite.broker.endpoint, request)
    expect(Buffer.from(String(Plaintext), 'base64')).toHaveLength(8)
  }
})
