// AWS KMS from inside an enclave: AWS's SDKs and its CLI, unmodified, behind cloister-kms-proxy, the plugin for the SDK
// for JavaScript, and kmstool_enclave_cli, over a port of the parent or the network, with TLS and without.

import { createPublicKey, generateKeyPairSync, verify, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { EncryptCommand, GetPublicKeyCommand, type KMSClient } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeClientRoot, newLockedKey } from '../fixtures/kms/guest-client.ts'
import { keysOf, REGION, RunningBroker } from '../fixtures/kms/running-broker.ts'
import { makeTlsFiles } from '../fixtures/kms/tls-files.ts'
import { buildFromManifest } from '../fixtures/manifest-image.ts'
import { inGuest } from '../fixtures/network/guest-shell.ts'
import { nextLine, once } from '../fixtures/once.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

const MANIFEST = `cloister: 1
name: kms
version: '1'
source: { rootfs: root }
run: { entrypoint: [/serve-shell] }
resources: { memory: 512M }
ports: [5005]
egress:
  allow:
    - { host: host.cloister.internal, ports: ['1024-65535'], private: true }
`
const SECRET = 'opens in this image only'

let host: TestHost
let enclave: DescribedEnclave
let root: Uint8Array
let broker: RunningBroker
let admin: KMSClient
let forward: ChildProcess
const keys = { symmetric: '', agreement: '', other: '', once: '', signing: '' }
const sealed = { symmetric: '', other: '', once: '' }

beforeAll(async () => {
  host = new TestHost()
  await makeClientRoot(host.directory)
  const eif = await buildFromManifest(host, 'kms', MANIFEST)
  enclave = await host.start(eif, '--memory', '512', '--parent-ports', '8000')
  root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  broker = await RunningBroker.start({ roots: [root] })
  admin = broker.client('root')
  await makeKeys()
  forward = await forwardTo(broker.endpoint)
})

afterAll(async () => {
  forward.kill()
  admin.destroy()
  await broker[Symbol.asyncDispose]()
  await host[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})

async function makeKeys(): Promise<void> {
  const measurements = enclave.Measurements
  const changed = { ...measurements, PCR2: 'ab'.repeat(48) }
  keys.symmetric = await newLockedKey(admin, { measurements })
  keys.agreement = await newLockedKey(admin, {
    ...{ measurements, KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' },
  })
  keys.signing = await newLockedKey(admin, {
    ...{ measurements, KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' },
  })
  keys.other = await newLockedKey(admin, { measurements: changed })
  keys.once = await newLockedKey(admin, {
    measurements,
    condition: { Bool: { 'cloister:RecipientAttestation:UnusedNonce': 'true' } },
  })
  for (const name of ['symmetric', 'other', 'once'] as const) {
    const command = new EncryptCommand({ KeyId: keys[name], Plaintext: Buffer.from(SECRET) })
    const { CiphertextBlob = new Uint8Array() } = await admin.send(command)
    sealed[name] = Buffer.from(CiphertextBlob).toString('base64')
  }
}

/** The parent's port 8000 leads to the broker's. */
async function forwardTo(endpoint: string): Promise<ChildProcess> {
  const { port } = new URL(endpoint)
  const child = host.spawn('forward', '--enclave-name', 'kms', '-R', `8000:127.0.0.1:${port}`)
  await nextLine(child, 'stderr')
  return child
}

/** A script in the guest with the access key of a user. */
function asApp(script: string): Promise<string> {
  const { accessKeyId, secretAccessKey } = keysOf('app')
  const variables = {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...{ AWS_REGION: REGION, AWS_DEFAULT_REGION: REGION, PYTHONPATH: '/opt' },
    ...{ AWS_EC2_METADATA_DISABLED: 'true', NODE_NO_WARNINGS: '1' },
  }
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`)
  return inGuest(enclave.VsockSocket, `${exports.join('\n')}\n${script}`)
}

/** The lines of a script that write a text to a file. */
const saved = (path: string, text: string): string => `cat > ${path} <<'END'\n${text}END`

const ROUTE = ['--endpoint', 'http://127.0.0.1:8470', '--parent-port', '8000']

async function boto3(
  options: readonly string[],
  name: 'symmetric' | 'once' = 'symmetric',
): Promise<Readonly<Record<string, unknown>>> {
  const command = new GetPublicKeyCommand({ KeyId: keys.agreement })
  const { PublicKey = new Uint8Array() } = await admin.send(command)
  const peer = Buffer.from(PublicKey).toString('base64')
  const words = [sealed[name], keys[name], keys.agreement, sealed.other, peer]
  const program = `python3 /app.py ${words.join(' ')}`
  const proxy = `cloister-kms-proxy ${options.join(' ')} -- ${program}`
  const output = await asApp(`${saved('/tmp/response.pem', broker.responseKey)}\n${proxy}`)
  return JSON.parse(output) as Readonly<Record<string, unknown>>
}

const EXPECTED = {
  ...{ plaintext: SECRET, encrypted: 'back and forth' },
  ...{ dataKey: 32, dataKeyOpens: true, pairOpens: true, random: 48 },
  ...{ sharedSecret: 32, sharedSecretIsTheSame: true },
  hidden: [null, null, null, null, null],
  requestIds: 5,
  otherImage: 'AccessDeniedException',
  otherContext: 'InvalidCiphertextException',
  wrongSecret: 'InvalidSignatureException',
}

describe('boto3, unmodified, gets every plain field where it looks for it', () => {
  test('through a port of the parent', async () => {
    expect(await boto3(ROUTE)).toEqual(EXPECTED)
  })

  test('with responses that the broker signs, and nonces that it accepts once', async () => {
    const options = [...ROUTE, '--response-key', '/tmp/response.pem', '--broker-nonces']
    expect(await boto3(options, 'once')).toEqual(EXPECTED)
  })

  test('over the network of the enclave', async () => {
    const { port } = new URL(broker.endpoint)
    const options = ['--endpoint', `http://host.cloister.internal:${port}`]
    expect(await boto3(options)).toEqual(EXPECTED)
  })
})

/** A program that reads the ciphertexts from files, with the files and the key as its last arguments. */
const app = (command: string, name: 'symmetric' | 'once' = 'symmetric') =>
  asApp(`
    echo ${sealed[name]} | base64 -d > /tmp/sealed
    echo ${sealed.other} | base64 -d > /tmp/other
    ${command.replaceAll('FILES', `/tmp/sealed /tmp/other ${keys[name]}`)}`)

const OPENED = {
  ...{ plaintext: SECRET, dataKey: 32, dataKeyOpens: true },
  otherImage: 'AccessDeniedException',
}
const PROXY = `cloister-kms-proxy ${ROUTE.join(' ')}`

describe('behind the proxy, an app that knows nothing of enclaves opens what its image may, with', () => {
  test.each([
    ['AWS’s SDK for Go', '/app-go'],
    ['AWS’s SDK for Rust', '/app-rust'],
  ])('%s', async (_, program) => {
    expect(JSON.parse(await app(`${PROXY} -- ${program} FILES`))).toEqual(OPENED)
  })

  test('AWS’s SDK for JavaScript, which also signs with --attest-sign', async () => {
    const { PublicKey = new Uint8Array() } = await admin.send(
      new GetPublicKeyCommand({ KeyId: keys.signing }),
    )
    const program = `env SIGNING_KEY=${keys.signing} /node /app.mjs FILES`
    const output = await app(`${PROXY} --attest-sign -- ${program}`)
    const { signature, ...found } = JSON.parse(output) as Readonly<Record<string, unknown>>
    expect(found).toEqual(OPENED)
    const key = createPublicKey({ key: Buffer.from(PublicKey), format: 'der', type: 'spki' })
    const bytes = Buffer.from(String(signature), 'base64')
    expect(verify('sha256', Buffer.from('hi'), key, bytes)).toBe(true)
  })

  test('the AWS CLI', async () => {
    const script = 'import sys; from awscli.clidriver import main; sys.exit(main())'
    const decrypt = 'decrypt --ciphertext-blob fileb:///tmp/sealed --query Plaintext --output text'
    const output = await app(`${PROXY} -- python3 -c '${script}' kms ${decrypt}`)
    expect(Buffer.from(output, 'base64').toString(), output).toBe(SECRET)
  })
})

test('the SDK for JavaScript with @cloister/kms-client and cloister-attest opens what its image may, once for each nonce', async () => {
  const { port } = new URL(broker.endpoint)
  const plugin = JSON.stringify({
    endpoint: `http://host.cloister.internal:${port}`,
    options: { responseKey: broker.responseKey, brokerNonces: true },
  })
  expect(JSON.parse(await app(`/node /app.mjs FILES '${plugin}'`, 'once'))).toEqual(OPENED)
})

const kmstool = (words: string, prefix = '') =>
  asApp(`${prefix}
    CLOISTER_KMS_ENDPOINT=http://127.0.0.1:8470 kmstool_enclave_cli ${words} --region ${REGION} \
    --proxy-port 8000 --aws-access-key-id $AWS_ACCESS_KEY_ID \
    --aws-secret-access-key $AWS_SECRET_ACCESS_KEY --aws-session-token ''; echo $?`)

describe('kmstool_enclave_cli prints what AWS’s does', () => {
  const base64 = (text: string) => Buffer.from(text).toString('base64')

  test('decrypt', async () => {
    expect(await kmstool(`decrypt --ciphertext ${sealed.symmetric}`)).toBe(
      `PLAINTEXT: ${base64(SECRET)}\n0\n`,
    )
  })

  test('genkey, whose key decrypt opens', async () => {
    const made = await kmstool(`genkey --key-id ${keys.symmetric} --key-spec AES-256`)
    const [, ciphertext = '', plaintext = ''] =
      /^CIPHERTEXT: (\S+)\nPLAINTEXT: (\S{44})\n0\n$/.exec(made) ?? []
    expect(await kmstool(`decrypt --ciphertext ${ciphertext} --key-id ${keys.symmetric}`)).toBe(
      `PLAINTEXT: ${plaintext}\n0\n`,
    )
  })

  test('genrandom', async () => {
    expect(await kmstool('genrandom --length 48')).toMatch(/^PLAINTEXT: \S{64}\n0\n$/)
  })

  test('and refuses what KMS refuses, and what it does not know', async () => {
    expect(await kmstool(`decrypt --ciphertext ${sealed.other}`)).toMatch(
      /^kmstool_enclave_cli: ERR_GUEST_KMS_REFUSED: Decrypt: AccessDeniedException .*\n1\n$/,
    )
    expect(await kmstool('genrandom --length 2000')).toContain('ERR_GUEST_KMS_ARGUMENT')
    expect(await kmstool('encrypt')).toContain('ERR_GUEST_KMS_ARGUMENT')
  })
})

test('a document counts only with a nonce, and a response only with the signature of the right key', async () => {
  const decrypt = `decrypt --ciphertext ${sealed.once}`
  const pinned = (pem: string) =>
    `${saved('/tmp/pinned.pem', pem)}\nexport CLOISTER_KMS_RESPONSE_KEY=/tmp/pinned.pem`
  expect(await kmstool(decrypt, pinned(broker.responseKey))).toMatch(
    /ERR_GUEST_KMS_REFUSED: Decrypt: AccessDeniedException .*\n1\n$/,
  )
  const nonces = 'export CLOISTER_KMS_NONCES=1'
  expect(await kmstool(decrypt, `${pinned(broker.responseKey)}\n${nonces}`)).toMatch(
    /^PLAINTEXT: \S+\n0\n$/,
  )
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const other = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  expect(await kmstool(decrypt, `${pinned(other)}\n${nonces}`)).toContain('ERR_GUEST_KMS_SIGNATURE')
})

test('TLS ends in the enclave, and a parent with another certificate is refused', async () => {
  const tls = makeTlsFiles((name) => host.path(name), 'tls', 'basicConstraints=critical,CA:FALSE')
  await broker.restart({ roots: [root], tls })
  forward.kill()
  await once(forward, 'close')
  forward = await forwardTo(broker.endpoint)
  const decrypt = `decrypt --ciphertext ${sealed.symmetric}`
  const pem = readFileSync(tls.certificate, 'utf8')
  const save = `${saved('/tmp/ca.pem', pem)}\nexport CLOISTER_KMS_CA_FILE=/tmp/ca.pem`
  const run = (prefix: string) =>
    asApp(`${prefix}\nexport CLOISTER_KMS_ENDPOINT=https://127.0.0.1:8470
      kmstool_enclave_cli ${decrypt} --region ${REGION} --aws-access-key-id $AWS_ACCESS_KEY_ID \
        --aws-secret-access-key $AWS_SECRET_ACCESS_KEY --aws-session-token ''`)
  expect(await run(save)).toMatch(/^PLAINTEXT: /)
  expect(await run('unset CLOISTER_KMS_CA_FILE')).toContain('ERR_GUEST_KMS_CONNECT')
})
