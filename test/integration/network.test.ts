// Programs that know nothing of Cloister, in an enclave whose manifest lets them reach example.com.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HostServers } from '../fixtures/network/host-servers.ts'
import { NetworkedEnclave } from '../fixtures/network/networked-enclave.ts'
import { nextLine } from '../fixtures/once.ts'

let networked: NetworkedEnclave
let servers: HostServers

beforeAll(async () => {
  networked = await NetworkedEnclave.start()
  servers = await HostServers.start(networked.outside, networked.host.directory)
})
afterAll(async () => {
  await servers[Symbol.asyncDispose]()
  await networked[Symbol.asyncDispose]()
})

const COUNT = 20_000_000
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

describe('what rules allow is reached by', () => {
  test.each([
    ['curl, by name', 'curl -sS http://api.example.com/x', 'hello /x over 1.1\n'],
    ['curl, by an alias', 'curl -sS http://www.example.com/x', 'hello /x over 1.1\n'],
    ['curl, with IPv6', 'curl -sS http://v6.example.com/x', 'hello /x over 1.1\n'],
    [
      'curl, with TLS and HTTP/2',
      'curl -sS --cacert /outside.pem https://api.example.com/x',
      'hello /x over 2.0\n',
    ],
    [
      "curl, to the host's own loopback",
      'curl -sS http://host.cloister.internal/x',
      'hello /x over 1.1\n',
    ],
    [
      'Node with fetch',
      `node -e "fetch('http://api.example.com/n').then((it) => it.text()).then(console.log)"`,
      'hello /n over 1.1\n\n',
    ],
    [
      'Node with http, over one connection',
      `node -e "
        const http = require('http')
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
        const get = (path, next) => http.get({ host: 'api.example.com', path, agent }, (response) =>
          response.on('data', (bytes) => process.stdout.write(bytes)).on('end', next))
        get('/1', () => get('/2', () => agent.destroy()))"`,
      'hello /1 over 1.1\nhello /2 over 1.1\n',
    ],
    [
      'Node with dgram',
      `node -e "
        const socket = require('dgram').createSocket('udp4')
        socket.on('message', (bytes) => { console.log(String(bytes)); socket.close() })
        socket.send('ping', 7, 'api.example.com')"`,
      'ping\n',
    ],
    [
      "Go's net/http and resolver",
      'http-client http://api.example.com/bytes/1000',
      '200 OK 1000 bytes <nil>\n',
    ],
    [
      "Rust's hyper in a static program of glibc",
      'hyper-client http://api.example.com/bytes/1000 http://host.cloister.internal/h',
      '200 OK, 1000 bytes\n200 OK, 18 bytes\n',
    ],
    [
      "Go's resolver, the host's own loopback",
      'http-client http://host.cloister.internal/g',
      '200 OK 18 bytes <nil>\n',
    ],
    [
      'redis-cli',
      'export REDISCLI_HISTFILE=/dev/null; redis-cli -h host.cloister.internal incr visits',
      '1\n',
    ],
    ['psql', `psql -h host.cloister.internal -U postgres -At -c 'select 6 * 7'`, '42\n'],
    ['busybox', 'busybox wget -q -O - http://api.example.com/w', 'hello /w over 1.1\n'],
  ])('%s', async (_, script, output) => {
    expect(await networked.guest(script)).toBe(output)
  })

  test("Python's urllib and asyncio", async () => {
    const script = `
import asyncio, urllib.request
print(urllib.request.urlopen("http://api.example.com/p").read())
async def echo():
    reader, writer = await asyncio.open_connection("api.example.com", 7)
    writer.write(b"ping")
    print(await reader.readexactly(4))
    writer.close()
asyncio.run(echo())`
    expect(await networked.python(script)).toBe("b'hello /p over 1.1\\n'\nb'ping'\n")
  })

  test("Python's requests, in a session", async () => {
    const script = `
import requests
with requests.Session() as session:
    for path in ["r", "bytes/100000"]:
        answer = session.get("http://api.example.com/" + path)
        print(answer.status_code, len(answer.content))
    print(session.get("https://api.example.com/s", verify="/outside.pem").text)`
    expect(await networked.python(script)).toBe('200 18\n200 100000\nhello /s over 1.1\n\n')
  })

  test("quic-go's HTTP/3", async () => {
    const { outside, host } = networked
    const program = join(host.directory, 'root/usr/bin/http3-peer')
    const [command, ...words] = [...outside.command, program, 'serve', '93.184.216.34:443']
    const server = spawn(command, [...words, outside.certificate, outside.key])
    await nextLine(server)
    const post = 'SSL_CERT_FILE=/outside.pem http3-peer post https://api.example.com 1000000'
    const said = await networked.guest(post)
    server.kill()
    expect(said).toBe('HTTP/3.0 1000000 true\n')
  })

  test('apt-get, which installs a package', async () => {
    const script = `
      mkdir -p /etc/apt/apt.conf.d /etc/apt/preferences.d /var/lib/apt/lists/partial /var/cache/apt/archives/partial /var/log/apt
      mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates
      echo 'deb [trusted=yes] http://api.example.com/mirror ./' > /etc/apt/sources.list
      echo 'APT::Sandbox::User "root"; Acquire::Languages "none"; Dpkg::Use-Pty "false";' > /etc/apt/apt.conf
      : > /var/lib/dpkg/status
      apt-get -qq update && apt-get -qq install greeting > /tmp/log 2>&1 || cat /tmp/log
      cat /usr/share/greeting`
    expect(await networked.guest(script)).toContain('hello from a package\n')
  })

  test('a user without privileges', async () => {
    const script = `
import os, urllib.request
os.setgid(1000); os.setuid(1000)
print(urllib.request.urlopen("http://api.example.com/u").status)`
    expect(await networked.python(script)).toBe('200\n')
  })
})

test('long bodies arrive whole, there and back, and are counted', async () => {
  const before = await networked.networkCounters()
  const down = await networked.guest(`curl -sS http://api.example.com/bytes/${COUNT} | sha256sum`)
  expect(down).toContain(sha256(Buffer.alloc(COUNT, 'cloister')))
  const up = await networked.guest(
    `head -c ${COUNT} /dev/zero | curl -sS -T - http://api.example.com/`,
  )
  expect(up).toBe(sha256(Buffer.alloc(COUNT)))
  const after = await networked.networkCounters()
  for (const counter of ['BytesToGuest', 'BytesFromGuest']) {
    const counted = (after[counter] ?? 0) - (before[counter] ?? 0)
    expect(counted).toBeGreaterThan(COUNT)
    expect(counted).toBeLessThan(1.01 * COUNT)
  }
})

test('a program that has said all still reads', async () => {
  const script = `
import socket
it = socket.create_connection(("api.example.com", 8))
it.sendall(bytes(3_000_000))
it.shutdown(socket.SHUT_WR)
print(it.makefile().read())`
  expect(await networked.python(script)).toBe('3000000\n')
})

test('a program whose peer has said all still writes', async () => {
  const script = `
import socket, urllib.request
it = socket.create_connection(("api.example.com", 19))
print(it.makefile().read())
it.sendall(bytes(3_000_000))
it.shutdown(socket.SHUT_WR)
counted = lambda: urllib.request.urlopen("http://api.example.com/counted").read()
while counted() != b"3000000": pass
it.close()`
  expect(await networked.python(script)).toBe('first\n')
})

test('datagrams come back over both families, of any length', async () => {
  const script = `
import socket
for host, count in [("api.example.com", 0), ("api.example.com", 60000), ("2606:2800:220:1::34", 1400)]:
    family, *_, address = socket.getaddrinfo(host, 7, type=socket.SOCK_DGRAM)[-1]
    it = socket.socket(family, socket.SOCK_DGRAM)
    it.connect(address)
    it.send(b"d" * count)
    print(it.recv(65536) == b"d" * count)`
  expect(await networked.python(script)).toBe('True\nTrue\nTrue\n')
})

test.each([
  ['curl', 'curl -sS http://api/x', 'hello /x over 1.1\n'],
  ["Go's resolver", 'http-client http://api/bytes/1000', '200 OK 1000 bytes <nil>\n'],
  ['busybox', 'busybox wget -q -O - http://www/w', 'hello /w over 1.1\n'],
])("%s completes short names by the image's search list", async (_, script, output) => {
  expect(await networked.guest(script)).toBe(output)
})

test.each([
  ['that are aliases of aliases', 'chain.example.com', 1],
  ['that have another address each time and no time to live', 'turn.example.com', 3],
])('names %s', async (_, name, times) => {
  const script = `for _ in $(busybox seq ${String(times)}); do curl -sS http://${name}/; done`
  expect(await networked.guest(script)).toBe('hello / over 1.1\n'.repeat(times))
})

test('ping is told that echoes are refused', async () => {
  const output = await networked.guest('ping -n -c 1 -W 60 api.example.com')
  expect(output).toMatch(/Packet filtered/)
  expect(output).toMatch(/1 packets transmitted, 0 received, \+1 errors/)
})

test('a name with 200 addresses is answered over TCP', async () => {
  const script = `
import socket
print(len(socket.getaddrinfo("many.example.com", 80, socket.AF_INET, socket.SOCK_STREAM)))`
  expect(await networked.python(script)).toBe('200\n')
})

test('connect tells that nobody listens', async () => {
  const refused = await networked.guest(
    'curl -sS http://host.cloister.internal:7070/; curl -sS http://api.example.com:443',
  )
  expect(refused).toMatch(/port 7070 .*Couldn't connect/)
  const script = `
import socket
try: socket.create_connection(("2606:2800:220:1::99", 7))
except OSError as error: print(error.errno)`
  // Nobody has the address: the host's kernel says so, or that there is no way.
  expect(await networked.python(script)).toMatch(/^(101|111|113)\n$/)
})

test('250 connections at once', async () => {
  const script = `
import asyncio
async def echo(number):
    reader, writer = await asyncio.open_connection("api.example.com", 7)
    await everybody.wait()
    writer.write(b"%04d" % number)
    answer = await reader.readexactly(4)
    writer.close()
    return int(answer) == number
async def main():
    global everybody
    everybody = asyncio.Barrier(250)
    print(sum(await asyncio.gather(*[echo(number) for number in range(250)])))
asyncio.run(main())`
  expect(await networked.python(script)).toBe('250\n')
})
