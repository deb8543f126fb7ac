// `cloister kms`: the broker as a person starts it, a policy put to the test, the audit log checked.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { decide, findPolicyWarnings, parseKeyPolicy } from '@cloister/attestation/policy'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ACCOUNT, ARNS, keysOf, principals } from '../../fixtures/kms/running-broker.ts'
import { nextText, once } from '../../fixtures/once.ts'
import { TestHost } from '../../host.ts'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
  writeFileSync(host.path('principals.json'), JSON.stringify(principals()), { mode: 0o600 })
  writeFileSync(host.path('passphrase'), 'correct horse battery staple\n', { mode: 0o600 })
  writeFileSync(host.path('passphrase.key'), 'no key', { mode: 0o600 })
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

const SERVE = ['kms', 'serve', '--port', '0'] as const
const given = (): readonly string[] => [
  ...['--credentials', host.path('principals.json'), '--passphrase-file', host.path('passphrase')],
]

/** Starts a broker; what it printed once it answers. */
async function serve(
  ...args: readonly string[]
): Promise<{ child: ChildProcess; endpoint: string }> {
  const child = host.spawn(...SERVE, ...given(), ...args)
  const printed = JSON.parse(await nextText(child, '\n}')) as { Endpoint: string }
  return { child, endpoint: printed.Endpoint }
}

test('a broker that crashes leaves no core dump with its keys', async () => {
  const { child } = await serve('--store', host.path('dumpless'))
  const file = (name: string): string => readFileSync(`/proc/${String(child.pid)}/${name}`, 'utf8')
  expect(file('limits')).toMatch(/^Max core file size +0 +0 /m)
  expect(file('coredump_filter').trim()).toBe('00000000')
  child.kill('SIGTERM')
  await once(child, 'exit')
})

test('a store that cannot be made is named, in /proc too, where no name can be', async () => {
  const unmade = ['--store', '/proc/none/store']
  const served = await host.run(...SERVE, ...given(), ...unmade)
  expect(served.stderr).toMatch(
    /^ERR_KMS_STORE: cannot open the store in \/proc\/none\/store: no such file or directory\n/,
  )
  const passphrase = ['--passphrase-file', host.path('passphrase')]
  const restored = await host.run('kms', 'restore', host.path('any'), ...passphrase, ...unmade)
  expect(restored.stderr).toMatch(/^ERR_KMS_BACKUP: .* to \/proc\/none\/store: /)
})

test('a broker answers until it is ended, and its audit log verifies', async () => {
  const { child, endpoint } = await serve('--region', 'eu-central-1')
  const settings = { endpoint, region: 'eu-central-1', credentials: keysOf('root') }
  const client = new KMSClient(settings)
  await client.send(new CreateKeyCommand({}))
  const busy = await host.run('kms', 'audit', 'verify')
  expect(busy.stderr).toContain('ERR_KMS_STORE: another broker has the store')
  child.kill('SIGTERM')
  await once(child, 'exit')
  client.destroy()
  const verified = await host.json<{ Entries: number; Head: string }>('kms', 'audit', 'verify')
  expect(verified).toMatchObject({ Verified: true, Entries: 1 })
  const args = ['kms', 'audit', 'verify', '--head'] as const
  expect(await host.json(...args, verified.Head)).toEqual(verified)
  const other = await host.run(...args, verified.Head.replace(/:..../, ':0000'))
  expect(other.stderr).toMatch(/^ERR_KMS_AUDIT: entry 1 is not the one that was noted/)
})

describe('a broker that cannot start says why', () => {
  test.each([
    ['ERR_CLI_ARGUMENT', () => ['--credentials', host.path('principals.json')]],
    ['ERR_CLI_ARGUMENT', () => [...given(), '--account', '12']],
    ['ERR_CLI_ARGUMENT', () => [...given(), '--console-token-file', host.path('passphrase')]],
    ['ERR_KMS_LISTEN', () => [...given(), '--host', '0.0.0.0']],
    ['ERR_KMS_LISTEN', () => [...given(), '--host', 'localhost']],
    ['ERR_CLI_ARGUMENT', () => [...given(), '--tls-cert', host.path('passphrase')]],
    ['ERR_KMS_TLS', () => [...given(), ...tls('passphrase')]],
    ['ERR_CLI_ARGUMENT', () => [...given(), '--root', host.path('passphrase')]],
    ['ERR_CLI_ARGUMENT', () => [...given(), '--master-key-file', host.path('passphrase')]],
  ] as const)('%s', async (code, args) => {
    const { stderr, stdout } = await host.run(...SERVE, ...args())
    expect(stderr).toContain(`${code}: `)
    expect(stdout).toBe('')
  })
})

const tls = (name: string): readonly string[] => [
  ...['--tls-cert', host.path(name), '--tls-key', host.path(`${name}.key`)],
]

test('a broker that cannot start leaves no new store behind, and an old one as it is', async () => {
  const occupied = createServer().listen(0, '127.0.0.1')
  await once(occupied, 'listening')
  const { port } = occupied.address() as AddressInfo
  const args = ['kms', 'serve', '--port', String(port), ...given(), '--store']
  const started = async (store: string) => (await host.run(...args, host.path(store))).stderr
  expect(await started('new/inner')).toContain('ERR_KMS_LISTEN')
  expect(existsSync(host.path('new'))).toBe(false)
  mkdirSync(host.path('empty'), { mode: 0o700 })
  expect(await started('empty')).toContain('ERR_KMS_LISTEN')
  expect(readdirSync(host.path('empty'))).toEqual(['lock'])
  const { child } = await serve('--store', host.path('old'))
  child.kill('SIGTERM')
  await once(child, 'exit')
  expect(await started('old')).toContain('ERR_KMS_LISTEN')
  expect(readdirSync(host.path('old'))).toContain('kms.db')
  writeFileSync(host.path('short'), 'hunter2', { mode: 0o600 })
  const short = ['--credentials', host.path('principals.json'), '--passphrase-file']
  const refused = await host.run(
    ...SERVE,
    ...short,
    host.path('short'),
    '--store',
    host.path('new'),
  )
  expect(refused.stderr).toContain('ERR_KMS_MASTER_KEY')
  expect(existsSync(host.path('new'))).toBe(false)
  occupied.close()
  const missing = await host.run('kms', 'audit', 'verify', '--store', host.path('nowhere'))
  expect(missing.stderr).toMatch(/^ERR_KMS_STORE: .*nowhere\/kms.db does not exist\n.*--store/)
})

describe('a policy is put to the test', () => {
  const PCR = 'a1'.repeat(48)
  const IMAGE = 'kms:RecipientAttestation:ImageSha384'
  const policy = {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'Enclave',
        Effect: 'Allow',
        Principal: { AWS: ARNS.app },
        Action: 'kms:Decrypt',
        Resource: '*',
        Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } },
      },
    ],
  }

  test('and explained: who is let in, who is not, and what is weak in it', async () => {
    writeFileSync(host.path('policy.json'), JSON.stringify(policy))
    writeFileSync(host.path('hello.json'), JSON.stringify({ Measurements: { PCR0: PCR } }))
    const testing = ['kms', 'policy', 'test', '--principal', ARNS.app, '--policy']
    const ask = [...testing, host.path('policy.json')]
    const granted = await host.json<object>(
      ...ask,
      '--measurements',
      host.path('hello.json'),
      '--expect',
      'allow',
    )
    expect(granted).toMatchObject({ Decision: 'Allow', DecidedBy: 'key: Enclave' })
    const denied = await host.json(...ask, '--expect', 'deny')
    expect(denied).toMatchObject({
      Decision: 'Deny',
      Reason: 'no-allow',
      Statements: [
        {
          Statement: 'Enclave',
          Applies: false,
          PrincipalMatches: true,
          Conditions: [{ Key: IMAGE, Expected: [PCR], Actual: null, Holds: false }],
        },
      ],
      Warnings: [{ Code: 'no-deny-when-absent', Statement: null }],
    })
    const unexpected = await host.run(...ask, '--expect', 'allow')
    expect(unexpected).toMatchObject({ status: 1 })
    expect(unexpected.stderr).toMatch(/^ERR_KMS_DECISION: the policy decides deny \(no-allow\)/)
    const wrong = await host.run(...testing, host.path('hello.json'))
    expect(wrong.stderr).toMatch(/^ERR_KEY_POLICY_FORMAT: /)
    const value = { ...policy, Version: '2012-10-17' }
    writeFileSync(
      host.path('twice.json'),
      JSON.stringify(value).replace('{', '{"Version":"2008-10-17",'),
    )
    const twice = await host.run(...testing, host.path('twice.json'))
    expect(twice.stderr).toContain('has the key Version twice')
    const other = await host.json(...ask, '--action', 'kms:Encrypt', '--context', 'a=b', 'a=c')
    expect(other).toMatchObject({ Decision: 'Deny', Statements: [{ ActionMatches: false }] })
  })

  test('and its conditions on what the broker never sees are pointed out, as is what it refuses', async () => {
    const statement = (Sid: string, Effect: string, Condition: object) => ({
      ...{ Sid, Effect, Principal: { AWS: ARNS.app }, Action: 'kms:Encrypt', Resource: '*' },
      Condition,
    })
    const Statement = [
      statement('Org', 'Allow', { StringEquals: { 'aws:PrincipalOrgID': 'o-1' } }),
      statement('Mfa', 'Deny', { Bool: { 'aws:MultiFactorAuthPresent': 'false' } }),
      statement('Service', 'Deny', { BoolIfExists: { 'aws:PrincipalIsAWSService': 'false' } }),
      statement('Issued', 'Deny', { Null: { 'aws:TokenIssueTime': 'true' } }),
      statement('Known', 'Allow', {
        StringLike: { 'aws:PrincipalTag/a': '*', 'aws:SourceIp': '*' },
      }),
      statement('Via', 'Allow', { StringNotEquals: { 'kms:ViaService': 's3' } }),
    ]
    writeFileSync(host.path('absent.json'), JSON.stringify({ ...policy, Statement }))
    const file = ['--policy', host.path('absent.json'), '--principal', ARNS.app]
    const { Warnings } = await host.json<{
      Warnings: { Code: string; Statement: string | null; Message: string }[]
    }>('kms', 'policy', 'test', ...file)
    const absent = Warnings.filter(({ Code }) => Code === 'absent-condition-key')
    const never = 'is never in a request here: '
    expect(absent.map(({ Statement: name, Message }) => [name, Message.split(never)[1]])).toEqual([
      [null, undefined],
      ['Org', 'StringEquals holds for none, and the statement allows nothing'],
      ['Mfa', 'Bool holds for none, and the statement denies nothing'],
      ['Service', 'BoolIfExists holds for every request'],
      ['Issued', 'Null holds for every request'],
      ['Via', 'StringNotEquals holds for every request'],
    ])
    expect(absent[0]?.Message).toContain('kms serve refuses the policy: kms:ViaService')
  })

  test('with actions that KMS does not have, which match nothing', async () => {
    const Statement = ['kms:DisableKye', 'kms:Decrypt', 'kms:*Key', 'kms:Get*Kye', 's3:*'].map(
      (Action, at) => ({
        ...{ Sid: `s${String(at)}`, Effect: 'Deny', Principal: '*', Action, Resource: '*' },
      }),
    )
    writeFileSync(host.path('misspelt.json'), JSON.stringify({ ...policy, Statement }))
    const ask = ['kms', 'policy', 'test', '--policy', host.path('misspelt.json')]
    const app = ['--principal', ARNS.app]
    const { Warnings } = await host.json<{ Warnings: { Code: string; Statement: string }[] }>(
      ...[...ask, ...app],
    )
    const unknown = Warnings.filter(({ Code }) => Code === 'unknown-action')
    expect(unknown.map(({ Statement: name }) => name)).toEqual(['s0', 's3'])
    const wrong = await host.run(...ask, ...app, '--action', 'kms:Decript', '--expect', 'deny')
    expect(wrong.stderr).toMatch(/^ERR_CLI_ARGUMENT: --action kms:Decript: KMS has no such action/)
  })

  test('together with the grants on the key, which ask for no document', async () => {
    writeFileSync(host.path('policy.json'), JSON.stringify(policy))
    const Grants = [{ GrantId: 'g1', GranteePrincipal: ARNS.app, Operations: ['Decrypt'] }]
    writeFileSync(host.path('grants.json'), JSON.stringify({ Grants }))
    const ask = ['kms', 'policy', 'test', '--policy', host.path('policy.json')]
    const app = ['--principal', ARNS.app, '--grants', host.path('grants.json')]
    expect(await host.json(...ask, ...app, '--expect', 'allow')).toMatchObject({
      DecidedBy: 'grant: g1',
      Warnings: [
        { Code: 'no-deny-when-absent' },
        { Code: 'grant-without-document', Statement: 'grant g1' },
      ],
    })
    writeFileSync(host.path('grants.json'), '{"Grants":[{"GrantId":"g1"}]}')
    const wrong = await host.run(...ask, ...app)
    expect(wrong.stderr).toMatch(/^ERR_KEY_POLICY_FORMAT: grant 1 has no GranteePrincipal/)
  })

  test('and generated for an image: nothing in it is weak, and locked it names no one who may change it', async () => {
    const pcrs = { PCR0: PCR, PCR1: 'b2'.repeat(48), PCR2: 'c3'.repeat(48) }
    const image = { HashAlgorithm: 'Sha384 { ... }', ...pcrs }
    writeFileSync(host.path('image.json'), JSON.stringify({ Measurements: image }))
    const measurements = ['--measurements', host.path('image.json')]
    const people = ['--admin', ARNS.other, '--app', ARNS.app]
    const policy = await host.json(
      'kms',
      'policy',
      'generate',
      ...measurements,
      ...people,
      '--locked',
    )
    const decisions = policyDecisions(policy)
    expect(decisions.warnings).toEqual([])
    const context = Object.fromEntries(
      Object.entries(pcrs).map(([name, value]) => [`kms:RecipientAttestation:${name}`, value]),
    )
    expect(decisions.of(ARNS.app, 'kms:Decrypt', context)).toBe(true)
    for (const name of Object.keys(context)) {
      const changed = { ...context, [name]: 'd4'.repeat(48) }
      expect(decisions.of(ARNS.app, 'kms:Decrypt', changed), name).toBe(false)
    }
    expect(decisions.of(ARNS.app, 'kms:Decrypt', {})).toBe(false)
    expect(decisions.of(ARNS.other, 'kms:Encrypt', {})).toBe(true)
    for (const action of ['kms:Decrypt', 'kms:ReEncryptFrom', 'kms:PutKeyPolicy'])
      expect(decisions.of(ARNS.other, action, {}), action).toBe(false)
    const open = await host.json('kms', 'policy', 'generate', ...measurements, ...people)
    expect(policyDecisions(open).warnings).toEqual(['put-key-policy'])
  })
})

function policyDecisions(policy: unknown) {
  const key = parseKeyPolicy(policy)
  const policies = { key, identity: [], account: ACCOUNT }
  return {
    warnings: findPolicyWarnings(key).map(({ code }) => code),
    of: (principal: string, action: string, context: Record<string, string>) =>
      decide({ principal, action, resource: '*', context }, policies).allowed,
  }
}
