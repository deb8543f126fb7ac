// Ports of an enclave that are published on its host, with programs that know nothing of Cloister on both sides.

import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseExposition } from '../fixtures/exposition.ts'
import { describeIsolation } from '../fixtures/network/isolation-tests.ts'
import { describeProxy } from '../fixtures/network/proxy-tests.ts'
import { PublishedEnclave } from '../fixtures/network/published-enclave.ts'
import { isAlive } from '../fixtures/processes.ts'
import { until } from '../fixtures/until.ts'

let published: PublishedEnclave

beforeAll(async () => {
  published = await PublishedEnclave.start()
})
afterAll(async () => {
  await published[Symbol.asyncDispose]()
})

const curl = (...words: readonly string[]): Promise<string> =>
  published.client('curl', '-sS', '-m', '60', ...words)

/** An address of this host as Python's sockets take it. */
const python = (address: string): string => {
  const [, host = '', port = ''] = /^(.+):(\d+)$/.exec(address) ?? []
  return `("${host}", ${port})`
}

interface Described {
  readonly Published: readonly unknown[]
  readonly Network: {
    readonly Arrivals: {
      readonly Open: number
      readonly Counters: Readonly<Record<string, number>>
    }
  }
}

const describedNetwork = async (): Promise<Described> =>
  (await published.host.describe(published.enclave.EnclaveID)) as unknown as Described

describe('clients of the host reach', () => {
  test("Python's http.server, with curl", async () => {
    expect(await curl(`http://${published.at(80)}/hello`)).toBe('hello\n')
  })

  test('a server that is told who asks, over IPv4 and IPv6', async () => {
    const v4 = published.at(8001)
    expect(await curl('--local-port', '41000-41100', `http://${v4}/`)).toMatch(
      new RegExp(`^127\\.0\\.0\\.1:41\\d\\d\\d asked ${v4.replaceAll('.', '\\.')}\\n$`),
    )
    const v6 = published.at(8001, 'tcp', true)
    expect(v6).toMatch(/^\[::1\]:\d+$/)
    expect(await curl(`http://${v6}/`)).toMatch(/^\[::1\]:\d+ asked \[::1\]:\d+\n$/)
  })

  test('a server that listens at its HOSTNAME, as some frameworks do', async () => {
    expect(await curl(`http://${published.at(8004)}/hello`)).toBe('hello\n')
  })

  test('attested TLS', async () => {
    const url = `https://${published.at(443)}`
    expect(await curl('-k', `${url}/hello`)).toBe('hello\n')
    const document = await curl(
      '-k',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code} %{content_type}',
      `${url}/.well-known/attestation?nonce=00112233`,
    )
    expect(document).toBe('200 application/cbor')
  })

  test('a datagram server, each for itself', async () => {
    const script = `
import socket
clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
for number, it in enumerate(clients):
    it.settimeout(30)
    it.connect(${python(published.at(7, 'udp'))})
    it.send(b"%d" % number)
print([it.recv(100) for it in clients])`
    expect(await published.python(script)).toBe("[b'0', b'1', b'2']\n")
  })

  test("quic-go's HTTP/3, by an unchanged client", async () => {
    const url = `https://${published.at(8003, 'udp')}`
    const authorities = `SSL_CERT_FILE=${published.outside.certificate}`
    const client = join(published.host.directory, 'root/http3-peer')
    const said = await published.client('env', authorities, client, 'post', url, '1000000')
    expect(said).toBe('HTTP/3.0 1000000 true\n')
  })
})

test('an echo of much comes back whole, and after the end of what was said', async () => {
  const script = `
import hashlib, socket, threading
it = socket.create_connection(${python(published.at(7))}, timeout=60)
much = bytes(range(256)) * 40_000
def say():
    it.sendall(much)
    it.shutdown(socket.SHUT_WR)
threading.Thread(target=say).start()
heard = hashlib.sha256()
while bytes_ := it.recv(65536):
    heard.update(bytes_)
print(heard.digest() == hashlib.sha256(much).digest())`
  expect(await published.python(script)).toBe('True\n')
})

test('each direction ends by itself, and a slow reader holds up its writer, whichever side it is on', async () => {
  const script = `
import socket, time
def dial(word):
    it = socket.create_connection(${python(published.at(8))}, timeout=60)
    it.sendall(word)
    return it
def rest(it): return it.makefile("rb").read()
it = dial(b"f")
print(rest(it))
it.sendall(bytes(3_000_000))
it.shutdown(socket.SHUT_WR)
print(rest(dial(b"h")))

it, sent = dial(b"s"), 0
it.settimeout(2)
try:
    while sent < 40_000_000: sent += it.send(bytes(100_000))
except TimeoutError: pass
print(sent < 40_000_000)
rest(dial(b"a"))
it.settimeout(60)
it.shutdown(socket.SHUT_WR)
print(int(rest(it)) == sent)

it, said = dial(b"m"), []
while len(said) < 3 or said[-3] == 0 or said[-3] != said[-1]:
    said.append(int(rest(dial(b"p"))))
    time.sleep(0.3)
print(said[-1] < 40_000_000)
print(len(rest(it)))`
  expect(await published.python(script)).toBe("b'first'\nb'3000000'\nTrue\nTrue\nTrue\n40000000\n")
})

test('a port where nothing listens resets its clients, and the journal says why', async () => {
  const script = `
import socket
try: print(socket.create_connection(${python(published.at(9999))}, timeout=60).recv(1))
except OSError as error: print(type(error).__name__)`
  expect(await published.python(script)).toBe('ConnectionResetError\n')
  // The client hears of it before the keeper does.
  const journal = expect.poll(() => published.journal)
  await journal.toContain(
    'a client of port 9999/tcp of the guest was turned away: nothing listens there',
  )
})

test('200 clients at once, each with its own answer', async () => {
  const script = `
import asyncio
async def echo(number):
    reader, writer = await asyncio.open_connection(*${python(published.at(7))})
    writer.write(b"%04d" % number)
    answer = await reader.readexactly(4)
    writer.close()
    return int(answer) == number
async def main():
    print(sum(await asyncio.gather(*[echo(number) for number in range(200)])))
asyncio.run(main())`
  expect(await published.python(script)).toBe('200\n')
})

test('describe-enclaves and metrics count clients', async () => {
  const { Published, Network } = await describedNetwork()
  expect(Published).toHaveLength(10)
  expect(Network.Arrivals.Counters['Tcp']).toBeGreaterThan(200)
  expect(Network.Arrivals.Counters['Udp']).toBe(4)
  expect(Network.Arrivals.Counters['Failed']).toBe(1)
  const { stdout } = await published.host.run('metrics')
  const families = parseExposition(stdout)
  const values = (metric: string): readonly number[] =>
    (families.find(({ name }) => name === `cloister_network_${metric}`)?.samples ?? []).map(
      ({ value }) => value,
    )
  const { Counters: counters } = Network.Arrivals
  expect(values('clients_turned_away_total')).toEqual([1, 0])
  expect(values('clients_limit')).toEqual([1016])
  expect(values('clients_total')).toEqual([counters['Tcp'], 4])
  expect(values('clients_connected')).toHaveLength(1)
  // The echo alone is 10 MB.
  for (const bytes of values('client_bytes_total')) expect(bytes).toBeGreaterThan(10_240_000)
})

describeIsolation(() => published)
describeProxy(() => published)

/** Clients whose connections are open when a part is killed: how those end, and that they are served again. */
async function expectCleanEnd(kill: () => unknown): Promise<void> {
  const open = published.host.path('open')
  const script = `
import pathlib, socket, time
stream = socket.create_connection(${python(published.at(7))}, timeout=60)
stream.sendall(b"x")
print(stream.recv(1))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.connect(${python(published.at(7, 'udp'))})
def echo():
    datagrams.settimeout(2)
    datagrams.send(b"x")
    return datagrams.recv(10)
def attempt(what):
    for _ in range(100):
        try:
            if answer := what(): return answer
        except OSError: pass
        time.sleep(0.1)
print(attempt(echo))
pathlib.Path("${open}").touch()
try: print("ended", stream.recv(1))
except ConnectionResetError: print("ended", b"")
def stream_again():
    again = socket.create_connection(${python(published.at(7))}, timeout=5)
    again.sendall(b"y")
    return again.recv(1)
print(attempt(stream_again), attempt(echo))`
  const clients = published.python(script)
  await until('the clients are served', () => existsSync(open))
  rmSync(open)
  await kill()
  expect(await clients).toBe("b'x'\nb'x'\nended b''\nb'y' b'x'\n")
}

/** Of the enclave as it is now. */
const processes = async () => (await published.host.describe(published.enclave.EnclaveID)).Processes

test('the process that dials is listed, under the limits of the card, and ends with it even when stopped', async () => {
  const { 'network card': card = 0, 'network dialler': dialler = 0 } = await processes()
  const groups = (pid: number) => readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8')
  expect(readFileSync(`/proc/${String(dialler)}/status`, 'utf8')).toContain(
    `PPid:\t${String(card)}\n`,
  )
  expect(groups(dialler)).toBe(groups(card))
  process.kill(dialler, 'SIGSTOP')
  process.kill(card, 'SIGKILL')
  await until('it has ended', () => !isAlive(dialler))
  await until('the next one is listed', async () => {
    const { 'network dialler': next } = await processes()
    return next !== undefined && next !== dialler
  })
  expect(await curl(`http://${published.at(80)}/hello`)).toBe('hello\n')
})

test('a network card that was killed ends its clients, and is followed by one at the same ports', async () => {
  const card = (await processes())['network card'] ?? 0
  await expectCleanEnd(() => process.kill(card, 'SIGKILL'))
  expect(await curl(`http://${published.at(80)}/hello`)).toBe('hello\n')
})

test('the way in has given up all but the calls that it needs', async () => {
  const status = await published.guest(`
for it in /proc/[0-9]*; do
  if grep -qs '^Name:.cloister-ingres' $it/status; then cat $it/status; fi
done`)
  expect(status).toMatch(/^NoNewPrivs:\t1$/m)
  expect(status).toMatch(/^Seccomp:\t2$/m)
  expect(status).toMatch(/^CapEff:\t0+$/m)
})

test('a way in that was killed in the guest ends its clients, and is followed by another one', async () => {
  await expectCleanEnd(async () => {
    const killed = await published.guest(`
for it in /proc/[0-9]*; do
  if grep -qs '^Name:.cloister-ingres' $it/status; then kill -9 \${it#/proc/} && echo killed; fi
done`)
    expect(killed).toBe('killed\n')
  })
  expect(await curl(`http://${published.at(80)}/hello`)).toBe('hello\n')
})

test('a port that is taken, or that the image does not declare, is refused', async () => {
  const eif = published.host.path('published.eif')
  const codeFor = async (publication: string) => {
    const run = `run-enclave --eif-path '${eif}' -p ${publication}`
    const { outside, host } = published
    const command = `${outside.prefix} '${process.execPath}' '${host.cli}' ${run}`
    return /ERR_\w+/.exec((await host.shell(command)).stderr)?.[0]
  }
  expect(await codeFor(`${published.at(80)}:80`)).toBe('ERR_NETWORK_LISTEN')
  expect(await codeFor(`${published.at(7, 'udp')}:7/udp`)).toBe('ERR_NETWORK_LISTEN')
  expect(await codeFor('0:81')).toBe('ERR_NETWORK_UNDECLARED')
  expect(await codeFor('0:8001/udp')).toBe('ERR_NETWORK_UNDECLARED')
})
