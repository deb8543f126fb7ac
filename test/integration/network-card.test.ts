// The host's side of an enclave's network: the operator's rules, what is told of refusals, a network card that is
// killed. test/integration/network.test.ts has what programs inside see.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import {
  createServer as createNetServer,
  type AddressInfo,
  type Server as NetServer,
} from 'node:net'
import { json } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { parseExposition } from '../fixtures/exposition.ts'
import { ChangeableNames } from '../fixtures/changeable-names.ts'
import { makeHostTree } from '../fixtures/host-tree.ts'
import { once } from '../fixtures/once.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

/** Asks for one path after the other, and for a name and an address that no rule allows. */
const APP = `#!/bin/sh
curl -sS -m 20 http://nobody.example/ 2>&1
curl -sS -m 20 http://10.255.255.1/ 2>&1
curl -sS -m 20 http://host.cloister.internal:$3/ 2>&1
echo "reset: $?"
n=0
while :; do
  n=$((n + 1))
  curl -sS -m 20 http://host.cloister.internal:$1/$n || echo failed
  curl -sS -m 20 http://host.cloister.internal:$2/$n || echo failed
  [ $n -lt 5 ] || curl -s -m 20 http://moving.example/
  sleep 1
done
`

interface Network {
  readonly Flows: number
  readonly Counters: Readonly<Record<string, number>>
  readonly Refused: number
  readonly Refusals: readonly { readonly Destination: string; readonly By: string }[]
  readonly RefusedByRule: readonly RefusedByRule[]
}

interface RefusedByRule {
  readonly By: string
  readonly Rule: string
  readonly Count: number
}

type Described = DescribedEnclave & { readonly Network: Network; readonly Journal: string }

const paths: string[] = []
let host: TestHost
let servers: readonly Server[]
let resetting: NetServer

async function serve(): Promise<Server> {
  const server = createServer(({ url = '' }, response) => {
    paths.push(url)
    response.end(`answer ${url}\n`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Answers with a part of what it promises, and resets the connection. */
async function serveParts(): Promise<NetServer> {
  const server = createNetServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () => {
      socket.write('HTTP/1.0 200 OK\r\n\r\npart of it\n', () => {
        setTimeout(() => socket.resetAndDestroy(), 200)
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const portOf = (server: NetServer | undefined): number => (server?.address() as AddressInfo).port

beforeAll(async () => {
  host = new TestHost()
  servers = [await serve(), await serve()]
  resetting = await serveParts()
  const [first, second, third] = [...servers, resetting].map(portOf)
  const root = host.path('rootfs')
  mkdirSync(root)
  makeHostTree(root, { programs: ['sh', 'curl', 'sleep'] })
  writeFileSync(`${root}/app`, APP, { mode: 0o755 })
  const manifest = {
    ...{ cloister: 1, name: 'net', version: '1', logs: { stdout: 'all', stderr: 'all' } },
    run: { entrypoint: ['/app', String(first), String(second), String(third)] },
    egress: {
      allow: [
        { host: 'host.cloister.internal', ports: [first, second, third], private: true },
        { host: 'moving.example' },
      ],
    },
  }
  writeFileSync(host.path('cloister.yaml'), JSON.stringify(manifest))
  await host.build('net', '--rootfs', root, '--manifest', host.path('cloister.yaml'))
  const rules = { allow: [{ host: '**.internal', ports: [first], private: true }] }
  const named = {
    allow: [{ host: 'host.cloister.internal', ports: [first], private: true }],
    deny: [{ host: 'host.cloister.internal', ports: [third] }],
  }
  writeFileSync(host.path('wide.json'), JSON.stringify(rules))
  writeFileSync(host.path('rules.json'), JSON.stringify(named))
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
  for (const server of [...servers, resetting]) server.close()
})

async function start(...flags: readonly string[]): Promise<Described> {
  paths.length = 0
  const { EnclaveID: id } = await host.json<{ readonly EnclaveID: string }>(
    ...['run-enclave', '--eif-path', host.path('net.eif'), '--memory', '256', ...flags],
  )
  return describe(id)
}

async function describe(id: string): Promise<Described> {
  const all = await host.json<readonly Described[]>('describe-enclaves')
  const found = all.find(({ EnclaveID }) => EnclaveID === id)
  if (found === undefined) throw new Error('the enclave is gone')
  return found
}

const journalOf = ({ Journal }: Described): string => readFileSync(Journal, 'utf8')
const patient = { timeout: 90_000, interval: 200 }

test('what the image allows is reached, and the rest is told with the rule that would allow it', async () => {
  const enclave = await start()
  await vi.waitFor(() => {
    expect(paths).toContain('/2')
  }, patient)
  const { Network: network, EnclaveName: name } = await describe(enclave.EnclaveID)
  expect(network.Refusals.map(({ Destination, By }) => [Destination, By]).toSorted()).toEqual([
    ['10.255.255.1:80/tcp', 'image'],
    ['nobody.example', 'image'],
  ])
  expect(network.Counters['TcpFlows']).toBeGreaterThanOrEqual(2)
  const journal = journalOf(enclave)
  expect(journal).toContain('the network card is confined: Landlock ')
  expect(
    journal.match(/asked for nobody\.example, which egress of the image denies/g),
  ).toHaveLength(1)
  expect(journal).toContain(
    "in allow, { cidr: '10.255.255.1/32', ports: [80], protocol: tcp, private: true } would allow it",
  )
  const { stdout: log } = await host.run('logs', '--enclave-name', name)
  // Not the end of a whole answer: curl's status 56 is a failure to receive.
  expect(log).toMatch(/part of it[^]*reset: 56/)
  await host.json('terminate-enclave', '--enclave-name', name)
  expect(host.leftovers()).toEqual([])
})

/** In `inspect`, `metrics` and `events`: what was refused by rule, and what went through. */
async function expectTold({ EnclaveID: id, EnclaveName: name }: Described): Promise<void> {
  const { Network: network } = await host.json<Described>('inspect', name)
  const { RefusedByRule: byRule, Refused, Counters: counters } = network
  const rules = [
    ['host', 'deny[0]'],
    ['host', 'none'],
    ['image', 'none'],
  ]
  expect(byRule.map(({ By, Rule }) => [By, Rule])).toEqual(rules)
  expect(byRule.reduce((sum, { Count }) => sum + Count, 0)).toBe(Refused)
  expect(counters['BytesToGuest']).toBeGreaterThan(Buffer.byteLength('answer /1\n'))
  expect(counters['BytesFromGuest']).toBeGreaterThan(Buffer.byteLength('GET /1 HTTP/1.1\r\n'))

  const { stdout } = await host.run('metrics')
  const families = parseExposition(stdout)
  const samplesOf = (metric: string): readonly (readonly [string, number])[] => {
    const family = families.find((it) => it.name === `cloister_network_${metric}`)
    const ours = family?.samples.filter(({ labels }) => labels['enclave_name'] === name) ?? []
    return ours.map(({ labels: { enclave_id: _, enclave_name: __, ...others }, value }) => {
      return [Object.values(others).join(' '), value]
    })
  }
  const refused = samplesOf('refused_total')
  expect(refused.map(([labels]) => labels)).toEqual(rules.map((it) => it.join(' ')))
  for (const [index, [, value]] of refused.entries())
    expect(value).toBeGreaterThanOrEqual(byRule[index]?.Count ?? Infinity)
  expect(samplesOf('flows_limit')).toEqual([['', 2032]])
  expect(samplesOf('flows')).toEqual([['', expect.any(Number)]])
  expect(samplesOf('lookups_total')).toEqual([['', 0]])
  for (const [metric, first, second] of [
    ['flows_opened_total', 'tcp', 'udp'],
    ['flows_failed_total', 'unreachable', 'limit'],
    ['bytes_total', 'to_guest', 'from_guest'],
  ] as const)
    expect(samplesOf(metric).map(([labels]) => labels)).toEqual([first, second])
  const [[, opened], [, toGuest]] = [samplesOf('flows_opened_total'), samplesOf('bytes_total')].map(
    ([it]) => it ?? ['', 0],
  ) as [[string, number], [string, number]]
  expect(opened).toBeGreaterThanOrEqual(counters['TcpFlows'] ?? Infinity)
  expect(toGuest).toBeGreaterThanOrEqual(counters['BytesToGuest'] ?? Infinity)

  const { stdout: events } = await host.run('events', '--enclave-id', id)
  const told = events
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
    .filter(({ event }) => event === 'refused')
  // The app goes on meanwhile: there may be more by now.
  expect(told.map(({ destination }) => destination)).toEqual(
    expect.arrayContaining(network.Refusals.map(({ Destination }) => Destination)),
  )
  expect(told).toContainEqual(
    expect.objectContaining({
      ...{ destination: '10.255.255.1:80/tcp', protocol: 'tcp', by: 'image' },
      wouldAllow: "{ cidr: '10.255.255.1/32', ports: [80], protocol: tcp, private: true }",
    }),
  )
  expect(told).toContainEqual(expect.objectContaining({ protocol: 'dns', by: 'image' }))
  expect(told).toContainEqual(expect.objectContaining({ by: 'host', why: 'denied by deny[0]' }))
}

test('the operator narrows what the image allows, and widens nothing', async () => {
  const enclave = await start('--egress', host.path('rules.json'))
  const [, second] = servers.map(portOf)
  await vi.waitFor(async () => {
    expect(paths).toContain('/2')
    const { Network } = await describe(enclave.EnclaveID)
    expect(Network.Refusals).toContainEqual(
      expect.objectContaining({
        Destination: `host.cloister.internal:${String(second)}/tcp`,
        By: 'host',
      }),
    )
  }, patient)
  expect(journalOf(enclave)).toContain('which the rules of run-enclave --egress deny')
  await expectTold(enclave)
  const { stdout } = await host.run('logs', '--enclave-name', enclave.EnclaveName)
  expect(stdout).toContain('failed')
  await host.json('terminate-enclave', '--enclave-name', enclave.EnclaveName)
})

test('a network card that is killed is started again, and asks the resolvers that the host has then', async () => {
  using names = await ChangeableNames.start(host)
  names.nameServer('127.0.0.79') // nobody
  paths.length = 0
  const run = ['run-enclave', '--eif-path', host.path('net.eif'), '--memory', '256']
  const { stdout } = host.spawnUnder(names.prefix, ...run)
  if (stdout === null) throw new Error('run-enclave has no output')
  const started = await json(stdout)
  const enclave = await describe((started as DescribedEnclave).EnclaveID)
  await vi.waitFor(() => {
    expect(paths).toContain('/1')
  }, patient)
  const card = enclave.Processes['network card']
  process.kill(card ?? 0, 'SIGKILL')
  await vi.waitFor(() => {
    expect(journalOf(enclave)).toMatch(/network card was killed by SIGKILL and is started again/)
    expect(journalOf(enclave).match(/the network card is confined/g)).toHaveLength(2)
  }, patient)
  const before = paths.length
  await vi.waitFor(() => {
    expect(paths.length).toBeGreaterThan(before + 2)
  }, patient)
  expect(names.asked).toEqual([])
  names.nameServer()
  await vi.waitFor(() => {
    expect(names.asked).toContain('moving.example')
  }, patient)
  const { State, Processes } = await describe(enclave.EnclaveID)
  expect(State).toBe('RUNNING')
  const next = Processes['network card'] ?? 0
  expect(next).not.toBe(card)
  expect(readFileSync(`/proc/${String(next)}/comm`, 'utf8')).toBe('cloister-networ\n')
  await host.json('terminate-enclave', '--enclave-name', enclave.EnclaveName)
  expect(host.leftovers()).toEqual([])
})

test('a network card that does not come up ends the start with its words', async () => {
  writeFileSync(host.path('card'), '#!/bin/sh\necho no net today >&2\nexit 1\n', { mode: 0o755 })
  await using other = new TestHost({ CLOISTER_NETWORK_CARD: host.path('card') })
  const { stderr } = await other.run('run-enclave', '--eif-path', host.path('net.eif'))
  expect(stderr).toContain('ERR_NETWORK_CARD')
  expect(stderr).toContain('no net today')
  expect(other.leftovers()).toEqual([])
})

test('policy test decides by a manifest, an image or rules, and fails when it was to decide otherwise', async () => {
  const [first] = servers.map(portOf)
  const flow = `host.cloister.internal:${String(first)}`
  for (const rules of ['cloister.yaml', 'net.eif', 'rules.json']) {
    const result = await host.json('policy', 'test', host.path(rules), flow, '--expect', 'allow')
    expect(result).toMatchObject({ Flow: flow, Decision: 'allow', Why: 'allowed by allow[0]' })
  }
  // A pattern does not name the host.
  const wide = await host.json('policy', 'test', host.path('wide.json'), flow)
  expect(wide).toMatchObject({ Decision: 'deny' })
  const denied = ['policy', 'test', host.path('net.eif'), 'a.example:443/udp']
  expect(await host.json(...denied)).toMatchObject({
    Decision: 'deny',
    WouldAllow: '{ host: a.example, ports: [443], protocol: udp }',
  })
  expect((await host.run(...denied, '--expect', 'allow')).stderr).toContain('ERR_NETWORK_DECISION')
  for (const flow of ['a.example', 'a.example:0', 'a.example:1/icmp'])
    expect((await host.run('policy', 'test', host.path('rules.json'), flow)).stderr).toContain(
      'ERR_CLI_ARGUMENT',
    )
})

test('resolvers and rules that are malformed are refused before anything starts', async () => {
  const run = ['run-enclave', '--eif-path', host.path('net.eif')]
  expect((await host.run(...run, '--dns', 'one.one')).stderr).toContain('ERR_CLI_ARGUMENT')
  writeFileSync(host.path('bad.yaml'), 'allow:\n  - { host: a.b, port: 1 }\n')
  const { stderr } = await host.run(...run, '--egress', host.path('bad.yaml'))
  expect(stderr).toMatch(/ERR_MANIFEST_FIELD: .*bad.yaml:2:18: allow.0.port is an unknown key/)
})
