// Signed responses, from the viewpoint of an enclave whose parent forges them: it has the access key, knows the public
// key in every document, and can ask the broker itself.

import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import {
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GetKeyPolicyCommand,
  KMSClient,
  ListKeysCommand,
  type KMSServiceException,
} from '@aws-sdk/client-kms'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { attestedKms, KmsClientError } from '../../../kms-client/src/index.ts'
import { signedText } from '../../../src/kms/http/response-signature.ts'
import { envelop, envelopAuthenticated } from '../../../src/kms/recipient/cms.ts'
import { BrokerSuite, policyFor, text } from '../../fixtures/kms/broker-suite.ts'
import { ForgingParent, type Answered, type Passed } from '../../fixtures/kms/forging-parent.ts'
import { keysOf, REGION } from '../../fixtures/kms/running-broker.ts'
import { answerTo, sendRequest } from '../../fixtures/kms/send-request.ts'
import { signed } from '../../fixtures/kms/signed-request.ts'

const suite = new BrokerSuite()
let parent: ForgingParent
let kms: KMSClient
let KeyId: string
let sealed: Uint8Array | undefined
/** The public key in the last document. */
let spki = new Uint8Array()

const pinned = (responseKey: string): KMSClient => {
  const client = new KMSClient({
    ...{ endpoint: parent.endpoint, region: REGION, credentials: keysOf('app'), maxAttempts: 1 },
  })
  const attest = (publicKey: Uint8Array) => {
    spki = Uint8Array.from(publicKey)
    return suite.platform.document(publicKey)
  }
  client.middlewareStack.use(attestedKms(attest, { responseKey }))
  return client
}

beforeAll(async () => {
  parent = await ForgingParent.listen(() => suite.broker.endpoint)
  kms = pinned(suite.broker.responseKey)
  KeyId = await suite.newKey(policyFor())
  const command = new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') })
  sealed = (await suite.client('root').send(command)).CiphertextBlob
})
afterEach(() => {
  parent.forgery = {}
})
afterAll(async () => {
  kms.destroy()
  await parent[Symbol.asyncDispose]()
})

const decrypt = (client = kms) => client.send(new DecryptCommand({ CiphertextBlob: sealed }))

const codeOf = (sent: Promise<unknown>): Promise<unknown> =>
  sent.then(
    () => 'no error',
    (error: unknown) => (error instanceof KmsClientError ? error.code : error),
  )

/** A plaintext that the parent has chosen, for the key in the document. */
const forged = (seal = envelopAuthenticated): Buffer => {
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  const cms = Buffer.from(seal(Buffer.from('the parent’s'), key)).toString('base64')
  return Buffer.from(JSON.stringify({ KeyId, CiphertextForRecipient: cms }))
}

/** The request for this body, signed by the parent with the enclave's access key. */
const resigned = async ({ headers }: Passed, body: string): Promise<Passed> => {
  const kept = Object.entries(headers).filter(([name]) => /^x-(cloister-|amz-target)/.test(name))
  const { rawHeaders } = await signed({
    ...{ headers: Object.fromEntries(kept) as Record<string, string>, body, atMs: Date.now() },
  })
  const pairs = Array.from({ length: rawHeaders.length / 2 }, (_, at) =>
    rawHeaders.slice(at * 2, at * 2 + 2),
  )
  return { headers: Object.fromEntries(pairs) as Passed['headers'], body: Buffer.from(body) }
}

const without = (name: string, { headers, ...answered }: Answered): Answered => ({
  ...answered,
  headers: Object.fromEntries(Object.entries(headers).filter(([known]) => known !== name)),
})

test('an unmodified response is read, as AuthEnvelopedData, and so are refusals', async () => {
  expect(text((await decrypt()).Plaintext)).toBe('secret')
  const body = JSON.parse(String(parent.seen.at(-1)?.body)) as Record<string, string>
  const cms = Buffer.from(body['CiphertextForRecipient'] ?? '', 'base64')
  // id-ct-authEnvelopedData
  expect(cms.includes(Buffer.from('060b2a864886f70d0109100117', 'hex'))).toBe(true)
  await expect(kms.send(new ListKeysCommand({}))).rejects.toThrow(
    expect.objectContaining({ name: 'AccessDeniedException' }) as Error,
  )
  const policy = await kms.send(new GetKeyPolicyCommand({ KeyId }))
  expect(policy.Policy).toContain('kms:*')
})

test('headers that are not signed are not read', async () => {
  const unsigned = { 'x-amzn-errortype': 'NotFoundException', 'retry-after': '60' }
  parent.forgery = {
    answer: (response) => ({ ...response, headers: { ...response.headers, ...unsigned } }),
  }
  const error = await kms.send(new ListKeysCommand({})).catch((it: unknown) => it)
  expect(error).toMatchObject({ name: 'AccessDeniedException' })
  expect((error as KMSServiceException).$response?.headers).not.toMatchObject(unsigned)
})

test('a client without the key gets what AWS KMS would send', async () => {
  await suite.client('app').send(new DecryptCommand({ CiphertextBlob: sealed }))
  const client = suite.broker.client('app')
  const { CiphertextForRecipient } = await client.send(
    new DecryptCommand({ CiphertextBlob: sealed, Recipient: await suite.recipient() }),
  )
  expect(suite.open(CiphertextForRecipient).toString()).toBe('secret')
  client.destroy()
})

describe('the client refuses', () => {
  const refuses = async (code = 'ERR_KMS_CLIENT_SIGNATURE') => {
    expect(await codeOf(decrypt())).toBe(code)
  }

  test('another body, also one that opens', async () => {
    for (const seal of [envelop, envelopAuthenticated]) {
      parent.forgery = { answer: (response) => ({ ...response, body: forged(seal) }) }
      await refuses()
    }
  })

  test('a body without its signature', async () => {
    parent.forgery = { answer: (response) => without('x-cloister-response-signature', response) }
    await refuses()
    parent.forgery = {
      ask: ({ headers, body }) =>
        resigned({ headers: { 'x-amz-target': headers['x-amz-target'] }, body }, body.toString()),
    }
    await refuses()
  })

  test('the response to an earlier request', async () => {
    const client = kms
    await decrypt(client)
    const earlier = parent.seen.at(-1)
    parent.forgery = { answer: (response) => earlier ?? response }
    await refuses()
    const policy = () => client.send(new GetKeyPolicyCommand({ KeyId }))
    parent.forgery = {}
    await policy()
    const [before] = parent.seen.slice(-1)
    parent.forgery = { answer: (response) => before ?? response }
    expect(await codeOf(policy())).toBe('ERR_KMS_CLIENT_SIGNATURE')
  })

  test('the response to another request with the same nonce', async () => {
    const other = await suite.newKey(policyFor())
    parent.forgery = {
      ask: (request) => resigned(request, request.body.toString().replace(KeyId, other)),
    }
    const sent = kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
    expect(await codeOf(sent)).toBe('ERR_KMS_CLIENT_SIGNATURE')
    // The parent was answered: what it asked for is allowed.
    expect(parent.seen.at(-1)?.status).toBe(200)
  })

  test('the response to another operation', async () => {
    parent.forgery = {
      ask: ({ headers }) =>
        resigned(
          {
            headers: { ...headers, 'x-amz-target': 'TrentService.GenerateRandom' },
            body: Buffer.of(),
          },
          '{"NumberOfBytes":6}',
        ),
    }
    await refuses()
    expect(parent.seen.at(-1)?.status).toBe(200)
  })

  test.each([
    ['status', (response: Answered) => ({ ...response, status: 400 })],
    ['date', (response: Answered) => changed(response, { date: 'Fri, 27 Nov 2026 12:00:00 GMT' })],
    ['id', (response: Answered) => changed(response, { 'x-amzn-requestid': 'r' })],
    [
      'signature',
      (response: Answered) => changed(response, { 'x-cloister-response-signature': 'AA==' }),
    ],
    [
      'whole response, which redirects',
      (response: Answered) => ({ ...changed(response, { location: '/' }), status: 307 }),
    ],
  ])('a response with another %s', async (_, answer) => {
    parent.forgery = { answer }
    await refuses()
  })

  test('a signature of another key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    parent.forgery = {
      answer: (response, request) => {
        const body = forged()
        const header = (name: string): string => String(response.headers[name])
        const exchange = {
          ...{ nonce: String(request.headers['x-cloister-response-nonce']), status: 200 },
          ...{ target: String(request.headers['x-amz-target']), requestBody: request.body },
          ...{ date: header('date'), requestId: header('x-amzn-requestid'), body: body.toString() },
        }
        const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
        const signature = sign('sha384', signedText(exchange), key).toString('base64')
        const headers = {
          'content-length': body.length,
          'x-cloister-response-signature': signature,
        }
        return { ...changed(response, headers), body }
      },
    }
    await refuses()
    // To whom it belongs, it is right.
    const deceived = pinned(publicKey.export({ format: 'pem', type: 'spki' }).toString())
    expect(text((await decrypt(deceived)).Plaintext)).toBe('the parent’s')
    deceived.destroy()
  })
})

const changed = (response: Answered, headers: Passed['headers']): Answered => ({
  ...response,
  headers: { ...response.headers, ...headers },
})

test.each([
  ['not PEM', 'key'],
  [
    'a private key',
    generateKeyPairSync('ec', { namedCurve: 'P-384' })
      .privateKey.export({ format: 'pem', type: 'pkcs8' })
      .toString(),
  ],
  [
    'on another curve',
    generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .publicKey.export({ format: 'pem', type: 'spki' })
      .toString(),
  ],
  [
    'RSA',
    generateKeyPairSync('rsa', { modulusLength: 2048 })
      .publicKey.export({ format: 'pem', type: 'spki' })
      .toString(),
  ],
])('a response key that is %s is refused at once', (_, pem) => {
  expect(() => pinned(pem)).toThrow(
    expect.objectContaining({ code: 'ERR_KMS_CLIENT_RESPONSE_KEY' }) as Error,
  )
})

test('the key stays the same when the broker is started again', async () => {
  const before = suite.broker.responseKey
  await suite.broker.restart({ roots: [suite.platform.root] })
  expect(suite.broker.responseKey).toBe(before)
  expect(text((await decrypt()).Plaintext)).toBe('secret')
})

test.each([
  ['x-cloister-response-nonce', 'ab'],
  ['x-cloister-recipient-content', 'AES_128_GCM'],
])('the broker refuses a request whose %s is %s', async (name, value) => {
  const { AttestationDocument = new Uint8Array(), KeyEncryptionAlgorithm } = await suite.recipient()
  const document = Buffer.from(AttestationDocument).toString('base64')
  const Recipient = { AttestationDocument: document, KeyEncryptionAlgorithm }
  const body = JSON.stringify({ NumberOfBytes: 1, Recipient })
  const request = await signed({
    headers: { 'x-amz-target': 'TrentService.GenerateRandom', [name]: value },
    ...{ body, atMs: Date.now() },
  })
  expect(await sendRequest(suite.broker.endpoint, request)).toMatchObject({
    __type: 'ValidationException',
  })
})

test('headers that change the response must be signed', async () => {
  const request = await signed({
    headers: { 'x-cloister-response-nonce': 'ab'.repeat(32) },
    ...{ atMs: Date.now(), unsigned: ['x-cloister-response-nonce'] },
  })
  expect(await sendRequest(suite.broker.endpoint, request)).toMatchObject({
    __type: 'IncompleteSignatureException',
  })
})

test('no response is signed for an operation in the query string, which the signature would not cover', async () => {
  const response = await fetch(`${suite.broker.endpoint}/?X-Amz-Target=TrentService.ListKeys`, {
    ...{ method: 'POST', headers: { 'x-cloister-response-nonce': 'ab'.repeat(32) }, body: '{}' },
  })
  expect(response.headers.has('x-cloister-response-signature')).toBe(false)
  expect(await response.text()).toContain('X-Amz-Target')
})

test('refusals of strangers are signed a few times a second, and responses to principals always', async () => {
  const nowMs = Date.now()
  await suite.broker.restart({ roots: [suite.platform.root], now: () => nowMs })
  const isSigned = async (keys: ReturnType<typeof keysOf>): Promise<boolean> => {
    const headers = { 'x-cloister-response-nonce': 'ab'.repeat(32) }
    const request = await signed({ headers, keys, atMs: nowMs })
    const answer = await answerTo(suite.broker.endpoint, request)
    return answer.headers['x-cloister-response-signature'] !== undefined
  }
  const stranger = { ...keysOf('app'), secretAccessKey: 'x'.repeat(40) }
  const answers: boolean[] = []
  for (let count = 0; count < 25; count++) answers.push(await isSigned(stranger))
  expect([answers.lastIndexOf(true), answers.indexOf(false)]).toEqual([19, 20])
  for (let count = 0; count < 25; count++) expect(await isSigned(keysOf('app'))).toBe(true)
})
