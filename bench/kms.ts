// The key broker's Decrypt: with a document beside its floor (one verification, one RSA-OAEP encryption, AES, one durable
// entry in the log, on one processor too), without one beside moto's server, and with many keys and a long log. The floor is
// one client's, which waits for the disk each time.

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateKeyCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms'
import type { SignedRequest } from '../src/kms/auth/sigv4.ts'
import { Store } from '../src/kms/store/store.ts'
import { fixtureScript } from '../test/fixtures/built-toolkit.ts'
import { Platform, rsaPair } from '../test/fixtures/kms/platform.ts'
import { ACCOUNT, keysOf, principals, REGION } from '../test/fixtures/kms/running-broker.ts'
import { signed } from '../test/fixtures/kms/signed-request.ts'
import { nextLine } from '../test/fixtures/once.ts'
import { curveOf } from './kms-curve.ts'
import { CONNECTIONS, onFirstProcessor, rateOf, stop, textOf, type Rate } from './kms-serve.ts'
import type { BenchRow } from './row.ts'

const REQUESTS = 2000
const MOTO_REQUESTS = 1000

export async function run(): Promise<readonly BenchRow[]> {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const broker = new Bench(directory, await Platform.make())
    const [withDocument, plain] = await broker.decrypts()
    const floor = await broker.floor()
    const moto = await motoDecrypts()
    return [
      {
        claim: `KMS Decrypt with Recipient, one core, ${String(CONNECTIONS)} clients (at least 0.7 of its floor)`,
        ours: textOf(withDocument),
        peer: `verify, RSA-OAEP, AES, durable entry: ${floor.toFixed(0)}/s`,
        ratio: withDocument.perSecond / floor,
      },
      {
        claim: `KMS Decrypt without Recipient, one core, ${String(CONNECTIONS)} clients (at least 5 times moto's)`,
        ours: textOf(plain),
        peer: `moto server: ${textOf(moto)}`,
        ratio: plain.perSecond / moto.perSecond,
      },
      ...(await broker.curve()),
    ]
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

class Bench {
  readonly #directory: string
  readonly #platform: Platform
  readonly #rsa = rsaPair()

  constructor(directory: string, platform: Platform) {
    this.#directory = directory
    this.#platform = platform
    writeFileSync(this.#path('principals.json'), JSON.stringify(principals()), { mode: 0o600 })
    writeFileSync(this.#path('master.key'), 'cd'.repeat(32), { mode: 0o600 })
  }

  /** With and without a document. */
  async decrypts(): Promise<readonly [Rate, Rate]> {
    return await this.#serving(async (endpoint) => {
      const CiphertextBlob = await sealed(endpoint)
      const Recipient = {
        KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
        AttestationDocument: base64(await this.#platform.document(this.#rsa.spki)),
      }
      return [
        await rateOf(endpoint, [await decrypt({ CiphertextBlob, Recipient })], REQUESTS),
        await rateOf(endpoint, [await decrypt({ CiphertextBlob })], REQUESTS),
      ]
    })
  }

  /** What a Decrypt with a document cannot do without, per second. */
  async floor(): Promise<number> {
    const work = {
      ...{ root: base64(this.#platform.root), spki: base64(this.#rsa.spki), entry: ENTRY },
      document: base64(await this.#platform.document(this.#rsa.spki)),
      ...{ store: this.#path('floor'), keyFile: this.#path('master.key'), count: REQUESTS },
    }
    const script = join(import.meta.dirname, 'kms-floor.mjs')
    const floor = onFirstProcessor([process.execPath, script, JSON.stringify(work)])
    return Number(await nextLine(floor))
  }

  /** Many keys, and logs that get longer. */
  async curve(): Promise<readonly BenchRow[]> {
    return await curveOf({
      store: this.#path('curve'),
      open: () => this.#open('curve'),
      serving: (work) => this.#serving(work, 'curve'),
      signed: signedAsRoot,
      entry: ENTRY,
    })
  }

  async #serving<T>(work: (endpoint: string) => Promise<T>, store = 'store'): Promise<T> {
    const options = {
      ...{ store: this.#path(store), masterKey: { keyFile: this.#path('master.key') } },
      ...{ credentials: this.#path('principals.json'), region: REGION, account: ACCOUNT },
      ...{ host: '127.0.0.1', port: 0, maxDocumentAgeMs: 300_000 },
      rootsBase64: [base64(this.#platform.root)],
    }
    const script = fixtureScript('kms/serve.mjs')
    const broker = onFirstProcessor([process.execPath, script, JSON.stringify(options)])
    try {
      return await work(await nextLine(broker))
    } finally {
      await stop(broker)
    }
  }

  #open(store = 'store'): Store {
    return Store.open(this.#path(store), { keyFile: this.#path('master.key') })
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }
}

const ENTRY = {
  ...{ time: '2026-11-27T12:00:00.000Z', requestId: '0'.repeat(36), sourceIp: '127.0.0.1' },
  ...{ principal: `arn:aws:iam::${ACCOUNT}:root`, operation: 'Decrypt' },
  key: `arn:aws:kms:${REGION}:${ACCOUNT}:key/${'0'.repeat(36)}`,
  recipient: { moduleId: 'i-0-enc0', assurance: 'software-tpm', pcrs: { 0: 'ab'.repeat(48) } },
  decisions: [{ action: 'kms:Decrypt', allowed: true, reason: 'allow', statement: 'key: Admin' }],
}

async function sealed(endpoint: string): Promise<string> {
  const client = new KMSClient({ endpoint, region: REGION, credentials: keysOf('root') })
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  const command = new EncryptCommand({ KeyId: KeyMetadata?.KeyId, Plaintext: randomBytes(32) })
  const { CiphertextBlob } = await client.send(command)
  client.destroy()
  return base64(CiphertextBlob ?? new Uint8Array())
}

function decrypt(fields: object): Promise<SignedRequest> {
  return signedAsRoot('Decrypt', fields)
}

function signedAsRoot(operation: string, fields: object): Promise<SignedRequest> {
  const headers = {
    'x-amz-target': `TrentService.${operation}`,
    'content-type': 'application/x-amz-json-1.1',
  }
  const body = JSON.stringify(fields)
  return signed({ headers, body, atMs: Date.now(), keys: keysOf('root') })
}

async function motoDecrypts(): Promise<Rate> {
  const program = join(import.meta.dirname, '../build/moto/bin/moto_server')
  const port = 20_000 + (process.pid % 10_000)
  // It logs each request.
  const server = onFirstProcessor([program, '-H', '127.0.0.1', '-p', String(port)], 'ignore')
  const endpoint = `http://127.0.0.1:${String(port)}`
  try {
    await listening(endpoint)
    const request = await decrypt({ CiphertextBlob: await sealed(endpoint) })
    // It closes each connection after one answer.
    return await rateOf(endpoint, [request], MOTO_REQUESTS, false)
  } finally {
    await stop(server)
  }
}

async function listening(endpoint: string): Promise<void> {
  for (;;) {
    const isThere = await fetch(endpoint).then(
      () => true,
      () => false,
    )
    if (isThere) return
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
