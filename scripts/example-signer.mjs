// npm run example:signer: enclave-images/signer/README.md from end to end, with a broker of its own. Every step prints what
// it shows; the first that turns out otherwise ends the run with status 1.

import { execFile, spawn } from 'node:child_process'
import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  CreateKeyCommand,
  DecryptCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  KMSClient,
} from '@aws-sdk/client-kms'

const repository = resolve(import.meta.dirname, '..')
const cli = join(repository, 'bundle/cli/main.js')
const REGION = 'us-east-1'
const PORT = 5005
const arn = (name) => `arn:aws:iam::111122223333:user/${name}`

process.umask(0o077)
const scratch = mkdtempSync(join(tmpdir(), 'cloister-signer-'))
const children = []
const enclaves = []
let step = 0

try {
  await example()
} finally {
  for (const child of children) child.kill()
  for (const id of enclaves) await cloister('terminate-enclave', '--enclave-id', id)
  rmSync(scratch, { recursive: true, force: true })
}

async function example() {
  say('Make a broker: its response key goes into the image.')
  const keys = { admin: accessKey(), app: accessKey() }
  const broker = await serve(keys, 'broker')
  writeFileSync(join(scratch, 'response-key.pem'), broker.responseKey)
  await end(broker.child)

  say('Build the image and start it.')
  const image = await build('signer')
  const enclave = await start(image)

  say(
    'Start the broker, which accepts documents of this host, and lead port 8000 of the parent to it.',
  )
  const { endpoint } = await serve(keys, 'broker', '--root', rootPath())
  const [admin, app] = [clientOf(endpoint, keys.admin), clientOf(endpoint, keys.app)]
  await forward(enclave, endpoint)

  say('Create a key that opens for this image only, with a policy that nobody can change.')
  say('Have the broker generate a signing key, whose plain text it gives to nobody.')
  const pair = await newSigningKey(admin, image)
  const publicKey = Buffer.from(pair.PublicKey)

  say('Decrypt it on the host: denied.')
  const decrypt = new DecryptCommand({
    CiphertextBlob: pair.PrivateKeyCiphertextBlob,
    KeyId: pair.KeyId,
  })
  const denied = await app.send(decrypt).catch((error) => error.name)
  expect(denied === 'AccessDeniedException', `the host was not denied: ${denied}`)

  say('Decrypt it in the enclave: granted.')
  const unseal = unsealing(pair, endpoint, keys.app)
  const unsealed = await ask(enclave, { unseal })
  expect(unsealed.publicKey === base64(publicKey), `not granted: ${unsealed.error}`)

  say('Sign a message in the enclave, and verify the signature.')
  const message = Buffer.from('signed in an enclave')
  const { signature } = await ask(enclave, { sign: { message: base64(message) } })
  const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
  const isSigned = verify('sha256', message, key, Buffer.from(signature, 'base64'))
  expect(isSigned, 'the signature does not verify')

  say('Verify that the public key is one of this image.')
  expect(
    (await attestedKey(enclave, image)) === base64(publicKey),
    'the document shows another public key',
  )

  say('Change the image, start it, and decrypt the key there: denied.')
  const changedImage = await build('changed', '--cmd', 'changed')
  const changed = await start(changedImage)
  const way = await forward(changed, endpoint)
  const refused = await ask(changed, { unseal })
  expect(
    refused.error?.includes('AccessDeniedException'),
    `the changed image was not denied: ${JSON.stringify(refused)}`,
  )

  say('Let another broker answer in the place of the first: denied.')
  await end(way)
  const impostor = await serve(keys, 'impostor', '--root', rootPath())
  const owner = clientOf(impostor.endpoint, keys.admin)
  const planted = await newSigningKey(owner, changedImage)
  await forward(changed, impostor.endpoint)
  const deceived = await ask(changed, { unseal: unsealing(planted, endpoint, keys.app) })
  expect(
    deceived.error?.includes('ERR_GUEST_KMS_SIGNATURE'),
    `the other broker was believed: ${JSON.stringify(deceived)}`,
  )
  for (const one of [admin, app, owner]) one.destroy()
  console.log('The signing key opened in the measured image, and nowhere else.')
}

/** The SDK adds a field of its own to the keys it is given. */
function clientOf(endpoint, keys) {
  return new KMSClient({ endpoint, region: REGION, credentials: { ...keys } })
}

/** A key pair whose private part is decrypted for an image only. */
async function newSigningKey(admin, { measurements }) {
  const policy = await cloister(
    ...['kms', 'policy', 'generate', '--locked', '--measurements', measurements],
    ...['--admin', arn('admin'), '--app', arn('app')],
  )
  const { KeyMetadata } = await admin.send(
    new CreateKeyCommand({ Policy: policy, BypassPolicyLockoutSafetyCheck: true }),
  )
  const { KeyId } = KeyMetadata
  const command = { KeyId, KeyPairSpec: 'ECC_NIST_P256' }
  const pair = await admin.send(new GenerateDataKeyPairWithoutPlaintextCommand(command))
  return { ...pair, KeyId }
}

/** What the app is asked with. */
function unsealing(
  { PrivateKeyCiphertextBlob, KeyId },
  endpoint,
  { accessKeyId, secretAccessKey },
) {
  return {
    ...{ privateKey: base64(PrivateKeyCiphertextBlob), keyId: KeyId, region: REGION },
    ...{ endpoint, accessKeyId, secretAccessKey },
  }
}

async function build(name, ...more) {
  const [eif, measurements] = [join(scratch, `${name}.eif`), join(scratch, `${name}.json`)]
  const rootfs = join(scratch, 'rootfs')
  cpSync(join(repository, 'build/signer/rootfs'), rootfs, { recursive: true })
  cpSync(join(scratch, 'response-key.pem'), join(rootfs, 'response-key.pem'))
  chmodSync(join(rootfs, 'response-key.pem'), 0o644)
  const words = ['--rootfs', rootfs, '--entrypoint', '/signer', ...more]
  writeFileSync(measurements, await cloister('build-enclave', ...words, '--output-file', eif))
  return { eif, measurements }
}

async function start({ eif }) {
  const size = ['--memory', '128', '--cpu-count', '1']
  const ports = ['--guest-ports', String(PORT), '--parent-ports', '8000']
  const { EnclaveID } = JSON.parse(
    await cloister('run-enclave', '--eif-path', eif, ...size, ...ports),
  )
  enclaves.push(EnclaveID)
  const all = JSON.parse(await cloister('describe-enclaves'))
  return all.find((one) => one.EnclaveID === EnclaveID)
}

async function serve(keys, store, ...roots) {
  const path = (name) => join(scratch, name)
  const user = (name) => ({ arn: arn(name), accessKeys: [keys[name]], policies: [] })
  const mayCreate = { Effect: 'Allow', Action: 'kms:CreateKey', Resource: '*' }
  const admin = {
    ...user('admin'),
    policies: [{ Version: '2012-10-17', Statement: [mayCreate] }],
  }
  const principals = { version: 1, principals: [admin, user('app')] }
  writeFileSync(path('principals.json'), JSON.stringify(principals))
  if (!existsSync(path('passphrase')))
    writeFileSync(path('passphrase'), randomBytes(24).toString('base64'))
  const files = ['--credentials', path('principals.json'), '--passphrase-file', path('passphrase')]
  const own = ['--store', path(store), ...roots, '--port', '0']
  const child = background('kms', 'serve', ...files, ...own)
  let text = ''
  for await (const chunk of child.stdout) {
    text += chunk
    if (text.includes('\n}')) break
  }
  expect(text !== '', 'the broker did not start')
  const { Endpoint: endpoint, ResponseKey: responseKey } = JSON.parse(text)
  return { child, endpoint, responseKey }
}

async function end(child) {
  child.kill()
  await once(child, 'exit')
}

async function forward({ EnclaveName }, endpoint) {
  const target = `8000:127.0.0.1:${new URL(endpoint).port}`
  const child = background('forward', '--enclave-name', EnclaveName, '-R', target)
  const ended = once(child, 'exit').then(() => expect(false, 'cloister forward ended'))
  await Promise.race([once(createInterface(child.stderr), 'line'), ended])
  ended.catch(() => undefined)
  return child
}

/** One line to the app, as soon as it listens, and its answer. */
async function ask({ VsockSocket }, request) {
  for (let attempts = 0; ; attempts++) {
    const answer = await tryAsk(VsockSocket, request)
    if (answer !== undefined) return answer
    expect(attempts < 600, 'the app does not answer')
    await sleep(100)
  }
}

async function tryAsk(path, request) {
  const socket = createConnection(path)
  const lines = createInterface({ input: socket })
  socket.on('error', () => lines.close())
  socket.write(`CONNECT ${PORT}\n`)
  for await (const line of lines) {
    if (line.startsWith('OK ')) socket.write(`${JSON.stringify(request)}\n`)
    else {
      socket.destroy()
      return JSON.parse(line)
    }
  }
  return undefined
}

/** The public key in a document that `cloister verify` accepts, for a nonce that was sent. */
async function attestedKey(enclave, { measurements }) {
  const nonce = randomBytes(32)
  const { document } = await ask(enclave, { attest: { nonce: base64(nonce) } })
  const file = join(scratch, 'document.cbor')
  writeFileSync(file, Buffer.from(document, 'base64'))
  const expected = ['--nonce', nonce.toString('hex'), '--measurements', measurements]
  const shown = await cloister('verify', '--document', file, '--root', rootPath(), ...expected)
  return Buffer.from(JSON.parse(shown).PublicKey, 'hex').toString('base64')
}

function rootPath() {
  const own =
    process.getuid() === 0 ? '/var/lib/cloister' : join(homedir(), '.local/state/cloister')
  return join(process.env.CLOISTER_STATE_DIR ?? own, 'authority/root.pem')
}

function accessKey() {
  const accessKeyId = `AKIA${randomBytes(8).toString('hex').toUpperCase()}`
  return { accessKeyId, secretAccessKey: randomBytes(30).toString('base64') }
}

async function cloister(...args) {
  const { stdout } = await promisify(execFile)(process.execPath, [cli, ...args])
  return stdout
}

function background(...args) {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  child.stderr.on('data', (bytes) => void bytes)
  return child
}

function base64(bytes) {
  return Buffer.from(bytes).toString('base64')
}

function say(what) {
  console.log(`${++step}. ${what}`)
}

function expect(condition, otherwise) {
  if (!condition) throw new Error(otherwise)
}
