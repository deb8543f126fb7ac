// What a principal may ask of the broker in a second.

import { GenerateRandomCommand, KMSClient } from '@aws-sdk/client-kms'
import { expect, test } from 'vitest'
import { NONCE_HEADER, SIGNATURE_HEADER } from '../../../src/kms/http/response-signature.ts'
import { verifyStoredAudit } from '../../../src/kms/index.ts'
import { refusalOf } from '../../fixtures/kms/broker-suite.ts'
import { keysOf, REGION, RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { answerTo } from '../../fixtures/kms/send-request.ts'
import { signed } from '../../fixtures/kms/signed-request.ts'

test('a principal that asks too much is throttled, unlogged, and others are not', async () => {
  await using broker = await RunningBroker.start()
  const start = Date.now()
  let nowMs = start
  await broker.restart({ requestsPerSecond: 5, now: () => nowMs })
  const [app, other] = [broker.client('app'), broker.client('other')]
  const ask = (client: KMSClient) => client.send(new GenerateRandomCommand({ NumberOfBytes: 1 }))
  for (let count = 0; count < 5; count++) await ask(app)
  expect(await refusalOf(ask(app))).toBe('ThrottlingException')
  await ask(other)
  nowMs = start + 200
  await ask(app)
  expect(await refusalOf(ask(app))).toBe('ThrottlingException')
  nowMs = start - 10_000
  expect(await refusalOf(ask(app))).toBe('ThrottlingException')
  nowMs = start - 9_000
  await ask(app)
  nowMs = start + 60_000
  for (let count = 0; count < 5; count++) await ask(app)
  expect(await refusalOf(ask(app))).toBe('ThrottlingException')
  for (const client of [app, other]) client.destroy()
  await broker.stop()
  expect(verifyStoredAudit(broker.store).seq).toBe(13)
})

test('of requests that are throttled, few answers are signed', async () => {
  await using broker = await RunningBroker.start()
  const nowMs = Date.now()
  await broker.restart({ requestsPerSecond: 1, now: () => nowMs })
  const headers = {
    'x-amz-target': 'TrentService.GenerateRandom',
    'content-type': 'application/x-amz-json-1.1',
    [NONCE_HEADER]: '07'.repeat(32),
  }
  const request = await signed({ headers, body: '{"NumberOfBytes":1}', atMs: nowMs })
  const answers = []
  for (let count = 0; count < 60; count++) answers.push(await answerTo(broker.endpoint, request))
  const isSigned = answers.filter(({ headers: sent }) => sent[SIGNATURE_HEADER] !== undefined)
  expect(answers.filter(({ fields }) => 'Plaintext' in fields)).toHaveLength(1)
  expect(isSigned.length).toBeGreaterThan(0)
  expect(isSigned.length).toBeLessThan(30)
})

test('the SDK waits and tries again', async () => {
  await using broker = await RunningBroker.start()
  const start = Date.now()
  // However long the requests take, they come at the same time, until one is refused.
  let isRefused = false
  await broker.restart({ requestsPerSecond: 10, now: () => (isRefused ? Date.now() : start) })
  const client = new KMSClient({
    ...{ endpoint: broker.endpoint, region: REGION, credentials: keysOf('app'), maxAttempts: 10 },
  })
  const notice = (error: unknown): never => {
    isRefused = true
    throw error
  }
  client.middlewareStack.add((next) => (args) => next(args).catch(notice), {
    ...{ step: 'finalizeRequest', priority: 'low' },
  })
  const asked = Array.from({ length: 15 }, () =>
    client.send(new GenerateRandomCommand({ NumberOfBytes: 1 })),
  )
  const attempts = (await Promise.all(asked)).map(({ $metadata }) => $metadata.attempts ?? 0)
  expect(Math.max(...attempts)).toBeGreaterThan(1)
  client.destroy()
})
