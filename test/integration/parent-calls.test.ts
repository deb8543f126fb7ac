// What a program finds under `cloister parent`, call by call, with an enclave that needs no machine.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EchoEnclave } from '../fixtures/echo-enclave.ts'
import { nextLine, once } from '../fixtures/once.ts'
import { isAlive } from '../fixtures/processes.ts'
import { TestHost } from '../host.ts'

/** Dials as a card does, and calls itself the enclave with CID 16; a second time after a line. */
const IMPOSTOR = `
import socket, sys
def dial(name):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(b"\\0vsock:16:7:3:" + name)
    sock.connect(sys.argv[1])
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(10): pass
dial(b"1")
print("dialled", flush=True)
input()
dial(b"2")
`

const sources = resolve(import.meta.dirname, '../parents')
let host: TestHost
let enclave: EchoEnclave

beforeAll(async () => {
  host = new TestHost()
  enclave = await EchoEnclave.start(host.runtime)
})

afterAll(async () => {
  await enclave[Symbol.asyncDispose]()
  host.discard()
})

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

async function ended(child: ChildProcess): Promise<Ended> {
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.on('data', (bytes: Buffer) => (texts[name] += bytes.toString('utf8')))
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, ...texts }
}

function parent(...command: readonly string[]): Promise<Ended> {
  return ended(host.parent(...command))
}

test('sockets behave and fail as those of AF_VSOCK do, and others as ever', async () => {
  const { status, stdout, stderr } = await parent('python3', join(sources, 'calls.py'))
  expect(status, stderr).toBe(0)
  expect(JSON.parse(stdout)).toEqual({
    'made of a unix socket': true,
    'closed port': 'ECONNRESET',
    'unknown CID': 'ENODEV',
    hypervisor: 'ENODEV',
    host: 'ENODEV',
    'silent guest': 'ETIMEDOUT',
    datagrams: 'ENODEV',
    packets: 'ESOCKTNOSUPPORT',
    'connected twice': 'EISCONN',
    'unbound listen': 'EINVAL',
    'name of no peer': 'ENOTCONN',
    'bound twice': 'EADDRINUSE',
    'bound to a reserved port': 'EADDRINUSE',
    "bound to an enclave's CID": 'EADDRNOTAVAIL',
    'sent to after its end': 'EPIPE',
    peer: [16, 5005],
    'local CID': 3,
    unbound: [0xffffffff, 0xffffffff],
    family: 40,
    'adopted family': 40,
    'CID of the device': 3,
    'non-blocking connect': 0,
    'non-blocking echo': 'word',
    'tried again': ['ECONNRESET', 'ECONNRESET', 'success'],
    'echo after that': 'word',
    'close on exec kept': true,
    'echo of a copy': 'word',
    'peer of a copy': [16, 5005],
    'echo of a program that inherits it': 'word (16, 5005)',
    threads: 32,
    'a silent guest holds up others': false,
    'accept is interrupted': true,
    'accept in time': 'EAGAIN',
    'accept of nothing': 'EAGAIN',
    loopback: 'success',
    'listener polls': [1],
    'accepted from': 1,
    'accepted at': [3, 8000],
    'accepted word': 'word',
    'bound again': 'success',
    TCP: true,
    unix: 'word',
    'bad address': -1,
  })
  expect(readdirSync(join(host.runtime, 'parents'))).toEqual([])
})

test("no way around the supervisor leads to the host's own AF_VSOCK", async () => {
  const program = join(host.directory, 'escape')
  const flags = ['-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror']
  await promisify(execFile)('cc', [...flags, '-o', program, join(sources, 'escape.c')])
  expect(await parent(program)).toMatchObject({
    status: 0,
    stdout: [
      '32-bit socket EAFNOSUPPORT',
      '32-bit socketcall EAFNOSUPPORT',
      'x32 socket ENOSYS',
      'io_uring ENOSYS',
      'family in the upper half ESOCKTNOSUPPORT\n',
    ].join('\n'),
  })
})

test.each([
  ['exit 7', 7],
  ['kill -SEGV $$', 128 + 11],
  ['read line; [ "$line" = hello ]', 0],
])('the exit status of `%s` is the one a shell gives', async (script, status) => {
  const child = host.parent('sh', '-c', script)
  child.stdin?.end('hello\n')
  expect((await ended(child)).status).toBe(status)
})

test.each([
  [['/nowhere'], 127, 'ERR_PARENT_PROGRAM'],
  [['/tmp'], 126, 'ERR_PARENT_PROGRAM'],
  [['sh', '-c', 'exec "$0" --runtime /tmp -- true', 'PROGRAM'], 125, 'ERR_PARENT_NESTED'],
])('a program that cannot run is told with a code: %j', async (command, status, code) => {
  const program = resolve(import.meta.dirname, '../../build/bin/cloister-parent')
  const result = await parent(...command.map((word) => word.replace('PROGRAM', program)))
  expect(result).toMatchObject({ status, stderr: expect.stringMatching(`^${code}: `) as string })
})

test('a signal to cloister reaches the program once', async () => {
  const child = host.parent('python3', join(sources, 'signals.py'))
  const end = ended(child)
  for (const signal of ['SIGTERM', 'SIGUSR1', 'SIGINT'] as const) {
    await nextLine(child)
    child.kill(signal)
  }
  expect(await end).toEqual({ status: 3, stdout: 'ready\nSIGTERM\nSIGUSR1\n', stderr: '' })
})

test('the program dies with cloister, however that dies', async () => {
  const child = host.parent('bash', '-c', 'echo $$; read x')
  const pid = Number(await nextLine(child))
  child.kill('SIGKILL')
  await expect.poll(() => isAlive(pid)).toBe(false)
})

test('what a killed supervisor left is removed, and its port served again', async () => {
  const code =
    'import socket;s=socket.socket(40);s.bind((3,8000));s.listen();print(1,flush=True);s.accept()'
  const killed = host.parent('python3', '-c', code)
  await nextLine(killed)
  const link = join(enclave.vsock, 'vsock.sock_8000')
  killed.kill('SIGKILL')
  await once(killed, 'close')
  const next = host.parent('python3', '-c', code)
  await nextLine(next)
  const socket = connect(link)
  expect((await ended(next)).status).toBe(0)
  socket.destroy()
  expect(readdirSync(enclave.vsock)).toEqual(['vsock.sock'])
  expect(readdirSync(join(host.runtime, 'parents'))).toEqual([])
})

test('a client has the CID of the record that names its process as the card, whatever it calls itself', async () => {
  const server = host.parent('python3', join(sources, 'sample.py'), 'server', '8000', '2')
  const served = ended(server)
  await nextLine(server, 'stderr')
  const path = join(enclave.vsock, 'vsock.sock_8000')
  const card = spawn('python3', ['-c', IMPOSTOR, path])
  await nextLine(card)
  await using _starting = await EchoEnclave.start(host.runtime, {
    ...{ name: 'starting', cid: 17, state: 'STARTING' },
    cardPid: card.pid,
  })
  card.stdin.end('\n')
  expect((await served).stdout).toBe('cid 1 port 7\ncid 17 port 7\n')
})

test('an enclave that is not chosen is not served', async () => {
  await using other = await EchoEnclave.start(host.runtime, { name: 'other', cid: 17 })
  const code =
    'import socket;s=socket.socket(40);s.bind((3,8000));s.listen();print(1,flush=True);input()'
  const child = host.spawn('parent', '--enclave-name', 'other', '--', 'python3', '-c', code)
  await nextLine(child)
  expect(readdirSync(other.vsock)).toContain('vsock.sock_8000')
  expect(readdirSync(enclave.vsock)).toEqual(['vsock.sock'])
  child.stdin?.end('\n')
  expect((await ended(child)).status).toBe(0)
})
