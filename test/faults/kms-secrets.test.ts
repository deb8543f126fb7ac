// What the key broker writes: none of the secrets that were in requests and answers, whatever the operation, and
// whether it succeeded, was refused or failed.

import { execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OPERATIONS } from '../../src/kms/operations/index.ts'
import { wrapMaterial } from '../fixtures/kms/import-material.ts'
import { Platform } from '../fixtures/kms/platform.ts'
import { keysOf, principals, REGION, ROOT_USER } from '../fixtures/kms/running-broker.ts'
import { formIn } from '../fixtures/kms/secret-forms.ts'
import { answerTo } from '../fixtures/kms/send-request.ts'
import { signed } from '../fixtures/kms/signed-request.ts'
import { nextText, once } from '../fixtures/once.ts'
import { TestHost } from '../host.ts'

type Fields = Readonly<Record<string, unknown>>

const secrets = {
  plaintext: Buffer.from('a plaintext that nobody may read'),
  message: Buffer.from('a message that is signed in secret'),
  material: randomBytes(32),
  'master key': randomBytes(32),
  'access key': Buffer.from(keysOf('root').secretAccessKey),
} as Record<string, Buffer>
const WORD = secrets['plaintext']?.toString('base64') ?? ''
const MESSAGE = secrets['message']?.toString('base64') ?? ''

let host: TestHost
let broker: ReturnType<TestHost['spawn']>
let endpoint = ''
const asked = new Set<string>()
/** Answers that are errors, and what the broker said on its streams. */
const said: string[] = []

beforeAll(async () => {
  host = new TestHost()
  mkdirSync(host.path('disk'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'none', host.path('disk')])
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(host.path(name), content, { mode: 0o600 })
    return host.path(name)
  }
  broker = host.spawn(
    ...['kms', 'serve', '--verbose', '--port', '0', '--region', REGION],
    ...['--store', host.path('disk/store')],
    ...['--credentials', file('principals.json', JSON.stringify(principals()))],
    ...['--master-key-file', file('master.key', secrets['master key'] ?? '')],
    ...['--root', file('root.der', (await Platform.make()).root)],
  )
  for (const stream of [broker.stdout, broker.stderr])
    stream?.on('data', (bytes: Buffer) => said.push(bytes.toString()))
  endpoint = /"Endpoint": "(.*)"/.exec(await nextText(broker, '\n}'))?.[1] ?? ''
})
afterAll(async () => {
  broker.kill('SIGKILL')
  execFileSync('umount', [host.path('disk')])
  await host[Symbol.asyncDispose]()
})

/** The answer to a body, which need not be JSON. */
async function send(operation: string, body: string): Promise<Fields> {
  const headers = { 'x-amz-target': `TrentService.${operation}` }
  const request = await signed({ headers, body, atMs: Date.now(), keys: keysOf('root') })
  const { fields } = await answerTo(endpoint, request)
  if (fields['__type'] !== undefined) said.push(JSON.stringify(fields))
  return fields
}

/** The answer of an operation that succeeds. */
async function ask(operation: string, fields: Fields = {}): Promise<Fields> {
  asked.add(operation)
  const answer = await send(operation, JSON.stringify(fields))
  expect(answer['__type'], `${operation}: ${JSON.stringify(answer)}`).toBeUndefined()
  return answer
}

/** A secret in an answer. */
function keep(name: string, base64: unknown): void {
  secrets[name] = Buffer.from(String(base64), 'base64')
}

async function newKey(fields: Fields = {}): Promise<string> {
  const { KeyMetadata } = await ask('CreateKey', fields)
  return (KeyMetadata as { readonly KeyId: string }).KeyId
}

async function encryption(KeyId: string): Promise<void> {
  const { CiphertextBlob } = await ask('Encrypt', { KeyId, Plaintext: WORD })
  await ask('Decrypt', { CiphertextBlob })
  await ask('ReEncrypt', { CiphertextBlob, DestinationKeyId: await newKey() })
  const dataKey = await ask('GenerateDataKey', { KeyId, KeySpec: 'AES_256' })
  keep('data key', dataKey['Plaintext'])
  await ask('Decrypt', { CiphertextBlob: dataKey['CiphertextBlob'] })
  await ask('GenerateDataKeyWithoutPlaintext', { KeyId, KeySpec: 'AES_256' })
  const pair = await ask('GenerateDataKeyPair', { KeyId, KeyPairSpec: 'ECC_NIST_P256' })
  keep('private key', pair['PrivateKeyPlaintext'])
  const spec = { KeyId, KeyPairSpec: 'ECC_NIST_P256' }
  await ask('GenerateDataKeyPairWithoutPlaintext', spec)
  keep('random', (await ask('GenerateRandom', { NumberOfBytes: 32 }))['Plaintext'])
}

async function signing(): Promise<Readonly<Record<'signer' | 'mac', string>>> {
  const signer = await newKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
  const algorithm = { KeyId: signer, Message: MESSAGE, SigningAlgorithm: 'ECDSA_SHA_256' }
  const { Signature } = await ask('Sign', algorithm)
  await ask('Verify', { ...algorithm, Signature })
  await ask('GetPublicKey', { KeyId: signer })
  const mac = await newKey({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' })
  const macOf = { KeyId: mac, Message: MESSAGE, MacAlgorithm: 'HMAC_SHA_256' }
  const { Mac } = await ask('GenerateMac', macOf)
  await ask('VerifyMac', { ...macOf, Mac })
  const agreement = await newKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' })
  const peer = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
  const PublicKey = peer.export({ format: 'der', type: 'spki' }).toString('base64')
  const agreed = { KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey }
  keep('shared secret', (await ask('DeriveSharedSecret', agreed))['SharedSecret'])
  return { signer, mac }
}

async function importing(): Promise<Fields> {
  const KeyId = await newKey({ Origin: 'EXTERNAL' })
  const wrapping = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' } as const
  const given = await ask('GetParametersForImport', { KeyId, ...wrapping })
  const spki = Buffer.from(String(given['PublicKey']), 'base64')
  const material = secrets['material'] ?? new Uint8Array()
  const wrapped = wrapMaterial(material, spki, wrapping.WrappingAlgorithm).toString('base64')
  const imported = {
    ...{ KeyId, ImportToken: given['ImportToken'], EncryptedKeyMaterial: wrapped },
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  }
  await ask('ImportKeyMaterial', imported)
  await ask('Encrypt', { KeyId, Plaintext: WORD })
  await ask('DeleteImportedKeyMaterial', { KeyId })
  return imported
}

async function management(KeyId: string): Promise<void> {
  await ask('DescribeKey', { KeyId })
  await ask('UpdateKeyDescription', { KeyId, Description: 'd' })
  for (const AliasName of ['alias/one']) {
    await ask('CreateAlias', { AliasName, TargetKeyId: KeyId })
    await ask('UpdateAlias', { AliasName, TargetKeyId: await newKey() })
    await ask('DeleteAlias', { AliasName })
  }
  await ask('TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] })
  await ask('ListResourceTags', { KeyId })
  await ask('UntagResource', { KeyId, TagKeys: ['a'] })
  const { Policy } = await ask('GetKeyPolicy', { KeyId })
  await ask('PutKeyPolicy', { KeyId, Policy })
  for (const list of ['ListKeys', 'ListAliases']) await ask(list)
  for (const list of ['ListKeyPolicies', 'ListGrants']) await ask(list, { KeyId })
  for (const rotation of ['EnableKeyRotation', 'GetKeyRotationStatus', 'DisableKeyRotation'])
    await ask(rotation, { KeyId })
  for (const rotation of ['RotateKeyOnDemand', 'ListKeyRotations']) await ask(rotation, { KeyId })
  const grant = { KeyId, GranteePrincipal: ROOT_USER, RetiringPrincipal: ROOT_USER }
  for (const end of ['RevokeGrant', 'RetireGrant']) {
    const { GrantId } = await ask('CreateGrant', { ...grant, Operations: ['Decrypt'] })
    await ask('ListRetirableGrants', { RetiringPrincipal: ROOT_USER })
    await ask(end, { KeyId, GrantId })
  }
  for (const change of ['DisableKey', 'EnableKey', 'ScheduleKeyDeletion', 'CancelKeyDeletion'])
    await ask(change, { KeyId })
}

/** Requests with secrets in them that are wrong in many ways. */
async function mistakes(keys: Readonly<Record<'signer' | 'mac', string>>): Promise<void> {
  const KeyId = await newKey()
  const spoilt = (field: string, value: string): readonly unknown[] => [
    ...[`${value}!`, [value], { [value]: value }, value.repeat(400), Number.MAX_VALUE],
  ]
  const requests: readonly (readonly [string, string, Fields])[] = [
    ['Encrypt', 'Plaintext', { KeyId, Plaintext: WORD }],
    [
      'Sign',
      'Message',
      { KeyId: keys.signer, Message: MESSAGE, SigningAlgorithm: 'ECDSA_SHA_256' },
    ],
    ['GenerateMac', 'Message', { KeyId: keys.mac, Message: MESSAGE, MacAlgorithm: 'HMAC_SHA_256' }],
  ]
  for (const [operation, field, fields] of requests) {
    const text = JSON.stringify(fields)
    const bodies = [
      ...spoilt(field, String(fields[field])).map((value) =>
        JSON.stringify({ ...fields, [field]: value }),
      ),
      ...[
        { Extra: fields[field] },
        { KeyId: 'unknown' },
        { DryRun: true },
        { GrantTokens: ['x'] },
      ].map((more) => JSON.stringify({ ...fields, ...more })),
      ...[
        text.slice(0, -1),
        text.slice(0, -10),
        `${text}${text}`,
        `[${text}]`,
        text.replace('"}', '"x}'),
      ],
      text.replace('{', `{"${field}":"${String(fields[field])}",`),
    ]
    for (const body of bodies) expect(await send(operation, body)).toHaveProperty('__type')
    await send('Decrypt', JSON.stringify({ CiphertextBlob: fields[field] }))
    await send('Nothing', text)
  }
}

/** Where the broker cannot write, so that it reports faults. */
async function failures(imported: Fields): Promise<void> {
  const KeyId = await newKey()
  const ballast = host.path('disk/ballast')
  expect(() => execFileSync('dd', ['if=/dev/zero', `of=${ballast}`], { stdio: 'ignore' })).toThrow()
  const types = new Set<unknown>()
  for (let count = 0; count < 300 && !types.has('KMSInternalException'); count++) {
    types.add((await send('Encrypt', JSON.stringify({ KeyId, Plaintext: WORD })))['__type'])
  }
  expect(types).toContain('KMSInternalException')
  await send('ImportKeyMaterial', JSON.stringify(imported))
  rmSync(ballast)
  expect(said.join('')).toContain('ERR_KMS_STORE')
}

function written(): Buffer {
  const store = host.path('disk/store')
  const files = readdirSync(store, { recursive: true, withFileTypes: true })
  const contents = files
    .filter((file) => file.isFile())
    .map((file) => readFileSync(join(file.parentPath, file.name)))
  return Buffer.concat(contents)
}

function leaks(haystack: Buffer): readonly string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => {
    const form = formIn(haystack, secret)
    return form === undefined ? [] : [`${name} as ${form}`]
  })
}

test('no secret of any operation is in the store, its log, an error or on the broker’s streams', async () => {
  const KeyId = await newKey()
  await encryption(KeyId)
  const keys = await signing()
  const imported = await importing()
  await management(KeyId)
  expect([...asked].toSorted()).toEqual([...OPERATIONS.keys()].toSorted())
  await mistakes(keys)
  await failures(imported)
  const store = written()
  broker.kill('SIGTERM')
  await once(broker, 'close')
  expect(leaks(Buffer.concat([store, written()]))).toEqual([])
  expect(leaks(Buffer.from(said.join('')))).toEqual([])
  // The search finds what is there.
  const digest = createHash('sha256')
    .update(secrets['material'] ?? '')
    .digest()
  secrets['not a secret'] = Buffer.from('CreateGrant')
  secrets['another'] = digest
  expect(leaks(store)).toEqual(['not a secret as bytes'])
})
