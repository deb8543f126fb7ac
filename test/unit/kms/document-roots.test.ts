// A broker that trusts two roots, started as an operator does: each key opens for documents of the roots that its policy
// names, and documents of the same image under another root count for nothing.

import { readFileSync, writeFileSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import {
  CreateKeyCommand,
  GenerateDataKeyCommand,
  GenerateRandomCommand,
  KMSClient,
  type RecipientInfo,
} from '@aws-sdk/client-kms'
import { ROOT_CONDITION_KEY } from '@cloister/attestation/policy'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { rootDigest } from '../../../src/kms/index.ts'
import { hexOfPcr, measured, policyFor, refusalOf } from '../../fixtures/kms/broker-suite.ts'
import { Platform, rsaPair } from '../../fixtures/kms/platform.ts'
import { ARNS, keysOf, principals, REGION } from '../../fixtures/kms/running-broker.ts'
import { nextText, once } from '../../fixtures/once.ts'
import { TestHost } from '../../host.ts'

type Side = 'mine' | 'theirs'
const rsa = rsaPair()
let host: TestHost
let broker: ChildProcess
let platforms: Record<Side, Platform>
let clients: Record<'root' | 'app', KMSClient>

beforeAll(async () => {
  host = new TestHost()
  platforms = { mine: await Platform.make(), theirs: await Platform.make() }
  for (const [side, platform] of Object.entries(platforms))
    writeFileSync(host.path(`${side}.der`), platform.root)
  writeFileSync(host.path('principals.json'), JSON.stringify(people()), { mode: 0o600 })
  writeFileSync(host.path('passphrase'), 'correct horse battery staple\n', { mode: 0o600 })
  broker = host.spawn(
    ...['kms', 'serve', '--port', '0', '--region', REGION, '--store', host.path('store')],
    ...['--credentials', host.path('principals.json')],
    ...['--passphrase-file', host.path('passphrase')],
    ...trusting('mine', 'theirs'),
  )
  const printed = await started(broker)
  expect(printed.RootSha256).toEqual([digestOf('mine'), digestOf('theirs')])
  const clientOf = (user: 'root' | 'app') =>
    new KMSClient({ endpoint: printed.Endpoint, region: REGION, credentials: keysOf(user) })
  clients = { root: clientOf('root'), app: clientOf('app') }
})
afterAll(async () => {
  for (const client of Object.values(clients)) client.destroy()
  broker.kill('SIGTERM')
  await once(broker, 'exit')
  await host[Symbol.asyncDispose]()
})

const trusting = (...sides: readonly Side[]): readonly string[] =>
  sides.flatMap((side) => ['--root', host.path(`${side}.der`)])
const digestOf = (side: Side): string => rootDigest(platforms[side].root)

/** `app` may GenerateRandom with a document under the first root. */
function people(): object {
  const { principals: list } = principals() as { principals: { arn: string }[] }
  const statement = { Effect: 'Allow', Action: 'kms:GenerateRandom', Resource: '*' }
  const Statement = [{ ...statement, Condition: under(digestOf('mine')) }]
  const policies = [{ Version: '2012-10-17', Statement }]
  const changed = list.map((one) => (one.arn === ARNS.app ? { ...one, policies } : one))
  return { version: 1, principals: changed }
}

async function started(broker: ChildProcess): Promise<{ Endpoint: string; RootSha256: string[] }> {
  return JSON.parse(await nextText(broker, '\n}')) as { Endpoint: string; RootSha256: string[] }
}

async function newKey(Policy: string): Promise<string> {
  const BypassPolicyLockoutSafetyCheck = true
  const command = new CreateKeyCommand({ Policy, BypassPolicyLockoutSafetyCheck })
  const { KeyMetadata } = await clients.root.send(command)
  return KeyMetadata?.KeyId ?? ''
}

async function recipient(side: Side): Promise<RecipientInfo> {
  const AttestationDocument = await platforms[side].document(rsa.spki)
  return { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256', AttestationDocument }
}

/** A data key, for a document of the same image on this side. */
async function open(KeyId: string, side: Side): Promise<unknown> {
  const Recipient = await recipient(side)
  return clients.app.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', Recipient }))
}

const denied = 'AccessDeniedException'
const under = (root: string) => ({ ...measured, StringEquals: { [ROOT_CONDITION_KEY]: root } })

test('a document counts for no key whose policy names no root, which is said in words and logged', async () => {
  const KeyId = await newKey(policyFor(measured))
  for (const side of ['mine', 'theirs'] as const) {
    const sent = open(KeyId, side)
    expect(await refusalOf(sent)).toBe(denied)
    await expect(sent).rejects.toThrow(
      `must name its root with ${ROOT_CONDITION_KEY} ${digestOf(side)}`,
    )
  }
  const stored = ['kms.db', 'kms.db-wal'].map((name) => readFileSync(host.path(`store/${name}`)))
  const log = Buffer.concat(stored).toString('latin1')
  expect(log).toContain('"ignored":"the attestation document does not count')
  expect(log).toContain(`"rootSha256":"${digestOf('theirs')}"`)
})

test('a key that names a root opens for documents under it, and not for the same image elsewhere', async () => {
  const [mine, theirs] = [
    await newKey(policyFor(under(digestOf('mine')))),
    await newKey(policyFor(under(digestOf('theirs')))),
  ]
  await open(mine, 'mine')
  await open(theirs, 'theirs')
  expect(await refusalOf(open(mine, 'theirs'))).toBe(denied)
  expect(await refusalOf(open(theirs, 'mine'))).toBe(denied)
})

test('what a key names in one statement binds the others, and a pattern names nothing', async () => {
  const both = JSON.parse(policyFor(measured)) as { Statement: object[] }
  const guard = {
    ...{ Effect: 'Deny', Principal: { AWS: ARNS.other }, Action: 'kms:Decrypt', Resource: '*' },
    Condition: { StringNotEquals: { [ROOT_CONDITION_KEY]: digestOf('mine') } },
  }
  const bound = await newKey(JSON.stringify({ ...both, Statement: [...both.Statement, guard] }))
  await open(bound, 'mine')
  expect(await refusalOf(open(bound, 'theirs'))).toBe(denied)
  const pattern = await newKey(
    policyFor({ ...measured, StringLike: { [ROOT_CONDITION_KEY]: '*' } }),
  )
  expect(await refusalOf(open(pattern, 'mine'))).toBe(denied)
})

test('an action without a key asks the policies of the principal in the same way', async () => {
  const random = async (side: Side): Promise<unknown> => {
    const Recipient = await recipient(side)
    return clients.app.send(new GenerateRandomCommand({ NumberOfBytes: 8, Recipient }))
  }
  await random('mine')
  expect(await refusalOf(random('theirs'))).toBe(denied)
})

interface Tested {
  readonly Decision: string
  readonly IgnoredDocument?: string
  readonly Warnings: readonly { readonly Code: string }[]
}

test('a policy is generated for a root, and tested as this broker decides', async () => {
  const Measurements = Object.fromEntries([0, 1, 2].map((n) => [`PCR${String(n)}`, hexOfPcr(n)]))
  writeFileSync(host.path('image.json'), JSON.stringify({ Measurements }))
  const image = ['--measurements', host.path('image.json')]
  const generate = async (name: string, ...flags: readonly string[]) => {
    const people = ['--admin', ARNS.other, '--app', ARNS.app, '--locked']
    const policy = await host.json('kms', 'policy', 'generate', ...image, ...people, ...flags)
    writeFileSync(host.path(name), JSON.stringify(policy))
    return newKey(JSON.stringify(policy))
  }
  const explain = (name: string, ...flags: readonly string[]): Promise<Tested> =>
    host.json<Tested>(
      ...['kms', 'policy', 'test', '--policy', host.path(name), '--principal', ARNS.app],
      ...[...image, ...flags],
    )
  const codes = ({ Warnings }: Tested) => Warnings.map(({ Code }) => Code)
  const rooted = await generate('rooted.json', ...trusting('mine'))
  await open(rooted, 'mine')
  expect(await refusalOf(open(rooted, 'theirs'))).toBe(denied)
  const root = (side: Side) => ['--context', `${ROOT_CONDITION_KEY}=${digestOf(side)}`]
  const two = trusting('mine', 'theirs')
  const granted = await explain('rooted.json', ...two, ...root('mine'), '--expect', 'allow')
  expect(codes(granted)).toEqual([])
  await explain('rooted.json', ...two, ...root('theirs'), '--expect', 'deny')
  await explain('rooted.json', ...trusting('mine'), '--expect', 'allow')
  expect(codes(await explain('rooted.json', ...trusting('theirs')))).toEqual(['untrusted-root'])
  const open2 = await generate('open.json')
  expect(await refusalOf(open(open2, 'mine'))).toBe(denied)
  const ignored = await explain('open.json', ...two, ...root('mine'), '--expect', 'deny')
  expect(ignored.IgnoredDocument).toContain('must name its root')
  expect(codes(ignored)).toEqual(['no-root'])
  expect(codes(await explain('open.json', ...trusting('mine'), '--expect', 'allow'))).toEqual([])
})
