// Vsock ports as their operator sees them: closed until declared, opened and closed at run time,
// with a journal that says which port was missed, and figures of what goes through.

import { spawnSync } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connectGuest } from '../../src/vsock/index.ts'
import { parseExposition } from '../fixtures/exposition.ts'
import { guestRootfs } from '../fixtures/guest-program.ts'
import { once } from '../fixtures/once.ts'
import {
  exchange,
  RunningProxy,
  serve as serveTcp,
  writeConfig,
} from '../fixtures/running-proxy.ts'
import { TestHost, type CliResult, type DescribedEnclave } from '../host.ts'

const DIALLER_PORT = 5006

interface Vsock {
  readonly ParentPorts: string
  readonly GuestPorts: string
  readonly Connections: number
  readonly Counters: Readonly<Record<string, number>>
  readonly ConnectionList: readonly Readonly<Record<string, unknown>>[]
}

let host: TestHost
let enclave: DescribedEnclave
const servers: Server[] = []

beforeAll(async () => {
  host = new TestHost()
  const rootfs = await guestRootfs(host.directory, 'probe')
  const eif = await host.build('dialler', '--rootfs', rootfs, '--entrypoint', '/probe', 'dialler')
  enclave = await host.start(eif)
})

beforeEach(async () => {
  await host.json('close-ports', '--enclave-id', enclave.EnclaveID, '--parent-ports', 'all')
})

afterAll(async () => {
  for (const server of servers) server.close()
  await host[Symbol.asyncDispose]()
})

async function vsock(): Promise<Vsock> {
  const [described] = await host.json<readonly { readonly Vsock: Vsock }[]>(
    'describe-enclaves',
    '--connections',
  )
  if (described === undefined) throw new Error('the enclave is gone')
  return described.Vsock
}

function openPorts(...ports: readonly string[]): Promise<object> {
  return host.json('open-ports', '--enclave-id', enclave.EnclaveID, ...ports)
}

function journal(): string {
  const { Journal } = enclave as DescribedEnclave & { readonly Journal: string }
  return readFileSync(Journal, 'utf8')
}

/** Listens at a path as an ordinary program of the host does; others may connect. */
async function listen(path: string, mode = 0o666): Promise<Socket[]> {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)))
  servers.push(server)
  server.listen(path)
  await once(server, 'listening')
  chmodSync(path, mode)
  return sockets
}

function serve(port: number, mode?: number): Promise<Socket[]> {
  return listen(`${enclave.VsockSocket}_${String(port)}`, mode)
}

/** Has the guest dial ports of its parent; yields the lines it answers. */
async function* dialled(ports: string): AsyncGenerator<string> {
  const socket = await connectWhenListening()
  socket.write(`${ports}\n`)
  yield* createInterface({ input: socket })
}

/** The app may need a moment after the start. */
function connectWhenListening(): Promise<Socket> {
  const connect = (): Promise<Socket> => connectGuest(enclave.VsockSocket, DIALLER_PORT)
  return vi.waitFor(connect, { timeout: 60_000, interval: 20 })
}

async function dialOnce(port: number): Promise<string> {
  for await (const line of dialled(`${String(port)} ${String(port)}`)) return line
  throw new Error('the guest did not answer')
}

test('a port is closed until it is declared, and the journal names the command that opens it', async () => {
  const sockets = await serve(8000)
  expect(await dialOnce(8000)).toBe('8000 refused')
  expect(sockets).toEqual([])
  expect((await vsock()).Counters).toMatchObject({ RefusedByPolicy: 1 })
  const [, command = ''] =
    /guest dialled parent port 8000.*`(cloister [^`]+)`/.exec(journal()) ?? []
  const opened = await host.shell(command)
  expect(opened.status, opened.stderr).toBe(0)
  expect(JSON.parse(opened.stdout)).toMatchObject({
    ParentPorts: '8000,9000-9002',
    GuestPorts: '5005-5006',
  })
  expect(await dialOnce(8000)).toBe('8000 open')
})

test('a host that dials a closed port is refused, and the journal says why', async () => {
  const refused = expect.objectContaining({ code: 'ERR_VSOCK_CONNECT' }) as Error
  await expect(connectGuest(enclave.VsockSocket, 5007)).rejects.toThrow(refused)
  await expect.poll(journal).toMatch(/host dialled guest port 5007.*closed.*--guest-ports 5007/)
})

test('connect says which it is: a port that is not open, or one that nothing listens on', async () => {
  const connect = (port: string): Promise<CliResult> =>
    host.run('connect', '--enclave-name', 'dialler', '--port', port, '--timeout', '0')
  const refused = async (): Promise<number> => Number((await vsock()).Counters['RefusedByPolicy'])
  const before = await refused()
  const closed = await connect('5007')
  // Once: whether a port is open does not change by dialling it again.
  expect(await refused()).toBe(before + 1)
  expect(closed).toMatchObject({ status: 11, stdout: '' })
  expect(closed.stderr).toContain('open-ports --enclave-name dialler --guest-ports 5007')
  await openPorts('--guest-ports', '5007')
  const open = await connect('5007')
  expect(open).toMatchObject({ status: 11, stdout: '' })
  expect(open.stderr).not.toContain('open-ports')
  await host.json('close-ports', '--enclave-name', 'dialler', '--guest-ports', '5007')
})

test('every connection is listed, and closing its port cuts it off at both ends', async () => {
  const sockets = await serve(8001)
  await openPorts('--parent-ports', '8001')
  const lines = dialled('8001')
  expect((await lines.next()).value).toBe('8001 open')
  await expect.poll(() => sockets.length).toBe(1)
  sockets[0]?.write('12345')
  const open = { DialledBy: 'guest', ParentCid: 3, ParentPort: 8001, State: 'established' }
  await expect
    .poll(async () => (await vsock()).ConnectionList)
    .toContainEqual(expect.objectContaining({ ...open, BytesToGuest: 5 }))
  await host.json('close-ports', '--enclave-id', enclave.EnclaveID, '--parent-ports', '8001')
  expect((await lines.next()).value).toBe('8001 closed')
  await expect.poll(() => sockets[0]?.destroyed).toBe(true)
  const { ConnectionList, ParentPorts } = await vsock()
  expect(ParentPorts).toBe('9000-9002')
  expect(ConnectionList.map(({ ParentPort }) => ParentPort)).not.toContain(8001)
})

test('closing a port of the guest cuts off the host that dialled it', async () => {
  const socket = await connectWhenListening()
  socket.on('error', () => undefined).resume()
  const port = ['--guest-ports', String(DIALLER_PORT)]
  await host.json('close-ports', '--enclave-id', enclave.EnclaveID, ...port)
  await expect.poll(() => socket.destroyed).toBe(true)
  const refused = expect.objectContaining({ code: 'ERR_VSOCK_CONNECT' }) as Error
  await expect(connectGuest(enclave.VsockSocket, DIALLER_PORT)).rejects.toThrow(refused)
  await openPorts(...port)
  ;(await connectWhenListening()).destroy()
})

test('closing everything leaves the enclave its reserved ports', async () => {
  const all = ['--parent-ports', 'all', '--guest-ports', 'none']
  await host.json('close-ports', '--enclave-id', enclave.EnclaveID, ...all)
  const { ConnectionList, ParentPorts } = await vsock()
  expect(ParentPorts).toBe('9000-9002')
  expect(ConnectionList).toContainEqual(expect.objectContaining({ ParentPort: 9002 }))
})

test('a port where nobody listens, or that the card may not use, is told apart from a closed one', async () => {
  await openPorts('--parent-ports', '8002-8003')
  expect(await dialOnce(8002)).toBe('8002 refused')
  await expect.poll(journal).toMatch(/guest dialled parent port 8002, where nobody listens/)
  await serve(8003, 0o600)
  const isRoot = process.getuid?.() === 0
  expect(await dialOnce(8003)).toBe(isRoot ? '8003 refused' : '8003 open')
  await expect.poll(() => journal().includes('8003, whose socket')).toBe(isRoot)
})

test('a guest that dials every port fills neither the journal nor the keeper', async () => {
  const before = journal().length
  let refused = 0
  for await (const line of dialled('20000 22999')) refused += Number(line.endsWith(' refused'))
  expect(refused).toBe(3000)
  expect(
    journal()
      .slice(before)
      .match(/guest dialled/g),
  ).toHaveLength(32)
  expect((await vsock()).Counters['RefusedByPolicy']).toBeGreaterThanOrEqual(3000)
})

/** Whether this host lets a user like the card's make the namespaces of a root of its own. */
function allowsOwnRoot(): boolean {
  const drop = process.getuid?.() === 0 ? ['setpriv', '--reuid=61236', '--clear-groups'] : ['env']
  const namespaces = ['unshare', '--user', '--map-root-user', '--mount', '--net', 'true']
  const [command = '', ...args] = [...drop, ...namespaces]
  return spawnSync(command, args, { cwd: '/' }).status === 0
}

test('a card reaches no socket outside its directory where the host allows it a root of its own', async () => {
  const hasOwnRoot = allowsOwnRoot()
  expect(journal().includes('a root and a network of its own')).toBe(hasOwnRoot)
  const outside = join(host.directory, 'outside.sock')
  const sockets = await listen(outside)
  chmodSync(host.directory, 0o755)
  symlinkSync(outside, `${enclave.VsockSocket}_8004`)
  await openPorts('--parent-ports', '8004')
  expect(await dialOnce(8004)).toBe(hasOwnRoot ? '8004 refused' : '8004 open')
  expect(sockets).toHaveLength(hasOwnRoot ? 0 : 1)
})

test('a guest reaches a server of an allowlist through vsock-proxy, which finds its enclave by itself', async () => {
  const server = await serveTcp('127.0.0.1', 'hello ')
  const entry = `{address: localhost, port: ${String(server.port)}}`
  const config = writeConfig(host, `allowlist: [${entry}]\n`)
  const args = ['8005', '127.0.0.1', String(server.port), '--config', config]
  await using proxy = await RunningProxy.start(host, args)
  await proxy.until((log) => log.some((line) => line.includes('--parent-ports 8005')))
  await openPorts('--parent-ports', '8005')
  const answer = await exchange(await connectWhenListening(), 'echo 8005 word\n')
  expect(answer.toString()).toBe('8005 open\nhello word')
  server.close()
})

test('there is no socket at which another VMM could pose as the enclave', () => {
  const directory = join(enclave.VsockSocket, '../..')
  const sockets = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isSocket())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
  expect(sockets).toEqual(expect.arrayContaining(['keeper.sock', 'vsock/vsock.sock']))
  // Of the keeper, of the host's programs, and of those that serve a port of the parent.
  const known = /^(keeper\.sock|vsock\/vsock\.sock(_\d+)?)$/
  expect(sockets.filter((path) => !known.test(path))).toEqual([])
})

test('metrics are valid, and say what describe-enclaves says', async () => {
  const { stdout, status } = await host.run('metrics')
  expect(status).toBe(0)
  const families = parseExposition(stdout)
  const samples = (name: string): unknown =>
    families.find((family) => family.name === name)?.samples
  const own = { enclave_id: enclave.EnclaveID, enclave_name: 'dialler' }
  const { Counters } = await vsock()
  expect(samples('cloister_vsock_up')).toEqual([{ labels: own, value: 1 }])
  expect(samples('cloister_vsock_connections_refused_total')).toContainEqual({
    labels: { ...own, reason: 'closed' },
    value: Counters['RefusedByPolicy'],
  })
})

test('ports in a --config file open as the flags do', async () => {
  const config = join(host.directory, 'config.json')
  const settings = `{"eif_path":"dialler.eif","memory_mib":128,"parent_ports":"8000","guest_ports":"5006"}`
  const started = await host.shell(`echo '${settings}' > '${config}' &&
    cloister run-enclave --config '${config}' >&2 && cloister describe-enclaves`)
  expect(started.status, started.stderr).toBe(0)
  const [, second] = JSON.parse(started.stdout) as readonly (DescribedEnclave & { Vsock: Vsock })[]
  expect(second?.Vsock).toMatchObject({ ParentPorts: '8000,9000-9002', GuestPorts: '5006' })
  await host.json('stop', '--enclave-id', second?.EnclaveID ?? '', '--timeout', '0')
})
