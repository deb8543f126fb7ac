// Operations that generate a key pair, which takes time: what is refused by then is refused.

import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseCredentials } from '../../../src/kms/auth/credentials-file.ts'
import { answerRequest, type BrokerParts } from '../../../src/kms/broker.ts'
import { RecipientVerifier } from '../../../src/kms/recipient/recipient.ts'
import { Store } from '../../../src/kms/store/store.ts'
import { Throttle } from '../../../src/kms/throttle.ts'
import { Upkeep } from '../../../src/kms/upkeep.ts'
import { policyFor } from '../../fixtures/kms/broker-suite.ts'
import { ACCOUNT, principals, REGION } from '../../fixtures/kms/running-broker.ts'
import { signed } from '../../fixtures/kms/signed-request.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary-directory.ts'

let directory: TemporaryDirectory
let parts: BrokerParts
const place = { region: REGION, account: ACCOUNT }

beforeAll(async () => {
  directory = await temporaryDirectory()
  const keyFile = directory.join('master.key')
  writeFileSync(keyFile, 'ab'.repeat(32), { mode: 0o600 })
  const store = Store.open(directory.join('store'), { keyFile })
  const report = (fault: unknown): never => {
    throw fault
  }
  parts = {
    ...{ store, place, now: Date.now, throttle: new Throttle(Infinity) },
    credentials: parseCredentials(principals()),
    roots: [],
    recipients: new RecipientVerifier({ roots: [], maxAgeMs: 1000 }),
    upkeep: new Upkeep({ store, place, now: Date.now, report }),
  }
})
afterAll(async () => {
  parts.upkeep[Symbol.dispose]()
  parts.store[Symbol.dispose]()
  await directory[Symbol.asyncDispose]()
})

/** The request of `app` with the id of a key, up to where it waits. */
async function asked(operation: string, body: object): Promise<{ answer: Promise<unknown> }> {
  const target = `TrentService.${operation}`
  const headers = { 'x-amz-target': target }
  const request = await signed({ headers, body: JSON.stringify(body), atMs: Date.now() })
  const rest = { userAgent: '', sourceIp: '::1', isSecure: false, requestId: operation }
  return { answer: answerRequest({ ...request, target, ...rest }, parts) }
}

test.each([
  ['GenerateDataKeyPairWithoutPlaintext', { KeyPairSpec: 'RSA_2048' }, 'AWS_KMS'],
  [
    'GetParametersForImport',
    { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' },
    'EXTERNAL',
  ],
] as const)('a policy that is replaced during %s counts', async (operation, fields, origin) => {
  const { store } = parts
  const kind = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin } as const
  const material = { number: 1, createdMs: 0, cause: 'CREATED' } as const
  const key = store.transaction(() => {
    const made = store.keys.create(
      { ...kind, policy: policyFor(), description: '', publicKey: null },
      Date.now(),
    )
    if (origin === 'EXTERNAL') return made
    store.materials.add(new Uint8Array(32), { ...material, keyId: made.id })
    const usable = { ...made, material: 1 }
    store.keys.put(usable)
    return usable
  })
  const entries = store.audit.length
  const allowed = await asked(operation, { KeyId: key.id, ...fields })
  expect(await allowed.answer).toHaveProperty('PublicKey')
  const { answer } = await asked(operation, { KeyId: key.id, ...fields })
  const administrators = policyFor({ Bool: { 'aws:SecureTransport': 'true' } })
  store.transaction(() => {
    store.keys.put({ ...key, policy: administrators })
  })
  await expect(answer).rejects.toMatchObject({ type: 'AccessDeniedException' })
  const logged = store.audit.list(entries, 10)
  expect(logged.map(({ error = 'none' }) => error)).toEqual(['none', 'AccessDeniedException'])
  expect(logged.map(({ decisions }) => decisions.length)).toEqual([1, 1])
})
