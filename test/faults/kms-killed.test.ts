// A broker that is killed while it writes: what it acknowledged is there afterwards, nothing is there by
// half, and the audit log has an entry for all of it.

import { spawn } from 'node:child_process'
import { createPrivateKey, createPublicKey, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DisableKeyCommand,
  KMSClient,
  PutKeyPolicyCommand,
  type CreateKeyCommandInput,
} from '@aws-sdk/client-kms'
import { beforeAll, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../src/kms/index.ts'
import { Database } from '../../src/kms/store/database.ts'
import { Store } from '../../src/kms/store/store.ts'
import { buildToolkit, fixtureScript } from '../fixtures/built-toolkit.ts'
import { ACCOUNT, keysOf, principals, REGION, ROOT_USER } from '../fixtures/kms/running-broker.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

const ROUNDS = 32
const WRITERS = 3
/** Of one round: three writers begin their second keys. */
const MAX_CHANGES = 15

beforeAll(buildToolkit)

/** What the broker said it had done, key by key. */
interface Acknowledged {
  readonly id: string
  name?: string
  disabled?: true
  policy?: string
}

test('loses nothing that it acknowledged, in any of 32 rounds', async () => {
  await using directory = await temporaryDirectory()
  writeFileSync(directory.join('principals.json'), JSON.stringify(principals()), { mode: 0o600 })
  writeFileSync(directory.join('master.key'), 'cd'.repeat(32), { mode: 0o600 })
  const store = directory.join('store')
  const masterKey = { keyFile: directory.join('master.key') }
  const options = {
    ...{ store, masterKey, credentials: directory.join('principals.json'), region: REGION },
    ...{ account: ACCOUNT, host: '127.0.0.1', port: 0, maxDocumentAgeMs: 1000 },
  }
  const acknowledged: Acknowledged[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await killedWhileWriting(JSON.stringify(options), acknowledged)
    using reopened = Store.open(store, masterKey)
    for (const { id, name, disabled, policy } of acknowledged) {
      const key = reopened.keys.find(id)
      expect(key?.id).toBe(id)
      if (disabled) expect(key?.enabled).toBe(false)
      if (policy !== undefined) expect(key?.policy).toBe(policy)
      if (name !== undefined) expect(reopened.aliases.find(name)?.keyId).toBe(id)
      const secret = reopened.materials.secret(id, key?.material ?? 0) ?? new Uint8Array()
      if (key?.publicKey) {
        const pkcs8 = { key: Buffer.from(secret), format: 'der', type: 'pkcs8' } as const
        const spki = createPublicKey(createPrivateKey(pkcs8))
        expect(spki.export({ format: 'der', type: 'spki' }).equals(key.publicKey)).toBe(true)
      } else expect(secret.length).toBe(32)
    }
  }
  expect(acknowledged.length).toBeGreaterThan(ROUNDS)
  const { seq } = verifyStoredAudit(store)
  using database = Database.open(store)
  const count = (sql: string): number => Number(database.get(sql)?.['n'])
  const logged = (operation: string): number =>
    count(
      `SELECT count(*) AS n FROM audit WHERE entry ->> 'operation' = '${operation}' AND entry ->> 'error' IS NULL`,
    )
  expect(seq).toBe(count('SELECT count(*) AS n FROM audit'))
  expect(logged('CreateKey')).toBe(count('SELECT count(*) AS n FROM keys'))
  expect(logged('CreateKey')).toBe(count('SELECT count(*) AS n FROM materials'))
  expect(logged('CreateAlias')).toBe(count('SELECT count(*) AS n FROM aliases'))
  expect(logged('DisableKey')).toBe(count('SELECT count(*) AS n FROM keys WHERE enabled = 0'))
})

async function killedWhileWriting(options: string, acknowledged: Acknowledged[]): Promise<void> {
  const args = [fixtureScript('kms/serve.mjs'), options]
  const broker = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [endpoint] = (await once(broker.stdout, 'data')) as [Buffer]
  const credentials = keysOf('root')
  const client = new KMSClient({
    ...{ endpoint: endpoint.toString().trim(), region: REGION, credentials, maxAttempts: 1 },
  })
  // After so many acknowledgements in this round, whatever they are of.
  const last = 1 + randomInt(MAX_CHANGES)
  let done = 0
  const acknowledge = (): void => {
    done += 1
    if (done === last) broker.kill('SIGKILL')
  }
  const isOver = (): boolean => done >= last
  const changes = { client, acknowledged, acknowledge, isOver }
  await Promise.all(Array.from({ length: WRITERS }, () => write(changes)))
  await once(broker, 'close')
  client.destroy()
}

interface Changes {
  readonly client: KMSClient
  readonly acknowledged: Acknowledged[]
  /** Called for each change once the broker has said that it is done. */
  readonly acknowledge: () => void
  readonly isOver: () => boolean
}

/** Changes of every kind, each noted when it was acknowledged, until the broker is gone. */
async function write({ client, acknowledged, acknowledge, isOver }: Changes): Promise<void> {
  try {
    for (;;) {
      const { KeyMetadata } = await client.send(new CreateKeyCommand(kindOf(acknowledged.length)))
      const KeyId = KeyMetadata?.KeyId ?? ''
      const key: Acknowledged = { id: KeyId }
      acknowledged.push(key)
      acknowledge()
      const name = `alias/of-${KeyId}`
      await client.send(new CreateAliasCommand({ AliasName: name, TargetKeyId: KeyId }))
      key.name = name
      acknowledge()
      const policy = policyOf(KeyId)
      await client.send(new PutKeyPolicyCommand({ KeyId, Policy: policy }))
      key.policy = policy
      acknowledge()
      await client.send(new DisableKeyCommand({ KeyId }))
      key.disabled = true
      acknowledge()
    }
  } catch (error) {
    if (!isOver()) throw error
  }
}

/** Every second key has a private and a public half. */
function kindOf(count: number): CreateKeyCommandInput {
  return count % 2 === 0 ? {} : { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }
}

function policyOf(Sid: string): string {
  const Principal = { AWS: ROOT_USER }
  const statement = { Effect: 'Allow', Principal, Action: 'kms:*', Resource: '*' }
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ Sid, ...statement }] })
}
