// What the rules of an enclave's manifest deny stays out of reach, whatever a program with root in the guest
// tries; and netd killed or stopped lets nothing through.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NetworkedEnclave } from '../fixtures/network/networked-enclave.ts'

let networked: NetworkedEnclave

beforeAll(async () => {
  networked = await NetworkedEnclave.start()
})
afterAll(async () => {
  // Not one of the attempts below came through.
  expect(await networked.outside.stray()).toBe(0)
  await networked[Symbol.asyncDispose]()
})

const EACCES = '13'
const EHOSTUNREACH = '113'

/** Python's way to say how an attempt ended. */
const attempt = `
import socket, struct
def attempt(what):
    try: what()
    except OSError as error: print(error.errno)
    else: print("done")
`

describe('a program that connects is told at once, and reaches nothing', () => {
  test.each([
    ['an address that no rule allows', '93.184.216.35', EHOSTUNREACH],
    ['a private address', '10.0.0.9', EHOSTUNREACH],
    ['the metadata service', '169.254.169.254', EHOSTUNREACH],
    ['the metadata service with IPv6', 'fd00:ec2::254', EACCES],
    ['a neighbour of the address of the host', '198.18.0.9', EHOSTUNREACH],
    ['an IPv4 address in IPv6', '::ffff:93.184.216.35', EHOSTUNREACH],
    ['an IPv4 address behind a translator', '64:ff9b::5db8:d823', EACCES],
  ])('%s', async (_, address, errno) => {
    const script = `${attempt}attempt(lambda: socket.create_connection(("${address}", 80)))`
    expect(await networked.python(script)).toBe(`${errno}\n`)
  })

  test.each([
    ['an alias of a denied name', 'moved.example.com'],
    ['a name with a private address', 'private.example.com'],
    ['a name with the address of the metadata service', 'metadata.example.com'],
  ])('%s', async (_, name) => {
    expect(await networked.guest(`curl -sS http://${name}/`)).toMatch(/Couldn't connect/)
  })

  test("a name with the address of the guest's own loopback leads to the guest", async () => {
    expect(await networked.guest('curl -sS http://loopback.example.com/')).toMatch(
      /Couldn't connect/,
    )
  })

  test('a port that the rule does not have', async () => {
    expect(await networked.guest('curl -sS http://api.example.com:8080/')).toMatch(
      /Couldn't connect/,
    )
  })

  test('where a redirect leads', async () => {
    expect(await networked.guest('curl -sSL http://api.example.com/away')).toMatch(
      /Couldn't connect/,
    )
  })

  test('a name whose second answer is private', async () => {
    const script = 'for _ in 1 2; do curl -sS http://flip.example.com/; done'
    expect(await networked.guest(script)).toMatch(/^hello .*\n.*Couldn't connect/)
  })
})

describe('a name that no rule allows is not asked for outside', () => {
  const NAMES = ['other.example.org', 'bad.example.com', 'a.b.example.com']

  test('by the resolver, over UDP or TCP', async () => {
    const script = `${attempt}
def question(name):
    labels = b"".join(bytes([len(it)]) + it.encode() for it in name.split("."))
    return struct.pack("!6H", 7, 256, 1, 0, 0, 0) + labels + b"\\0" + struct.pack("!2H", 1, 1)
for name in ${JSON.stringify(NAMES)}:
    attempt(lambda: socket.getaddrinfo(name, 80))
    it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    it.connect(("198.18.0.3", 53))
    it.send(question(name))
    print(it.recv(512)[3] & 15)
    it = socket.create_connection(("198.18.0.3", 53))
    it.send(struct.pack("!H", len(question(name))) + question(name))
    print(it.recv(512)[5] & 15)`
    const REFUSED = 5
    const each = `-3\n${REFUSED}\n${REFUSED}\n`
    expect(await networked.python(script)).toBe(each.repeat(NAMES.length))
    const asked = await networked.outside.asked()
    expect(asked.filter((name) => NAMES.includes(name))).toEqual([])
  })
})

describe('datagrams go nowhere', () => {
  test('to a denied address, on the ports of DNS and QUIC', async () => {
    const script = `${attempt}
for port in [9, 53, 443]:
    it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    it.connect(("93.184.216.35", port))
    it.send(b"secret")
    attempt(lambda: it.recv(10))`
    expect(await networked.python(script)).toBe(`${EHOSTUNREACH}\n`.repeat(3))
  })

  test('from raw and packet sockets of root', async () => {
    const script = `${attempt}
data = struct.pack("!4H", 4000, 53, 14, 0) + b"secret"
to = socket.inet_aton("93.184.216.35")
header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64, 17, 0) + socket.inet_aton("198.18.0.2") + to
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.sendto(header + data, ("93.184.216.35", 0))
packet = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
packet.sendto(header + data, ("cloister0", 0x0800))
print("sent")`
    expect(await networked.python(script)).toBe('sent\n')
  })

  test('as echoes, which are refused and do not hang', async () => {
    const script = `${attempt}
for family, protocol, address in [(socket.AF_INET, 1, "93.184.216.34"), (socket.AF_INET6, 58, "2606:2800:220:1::34")]:
    it = socket.socket(family, socket.SOCK_DGRAM, protocol)
    it.connect((address, 0))
    it.send(bytes([8 if protocol == 1 else 128, 0, 0, 0, 0, 0, 0, 0]))
    attempt(lambda: it.recv(100))`
    expect(await networked.python(script)).toBe(`${EHOSTUNREACH}\n${EACCES}\n`)
  })
})

test('the host part decides the same when a program asks it directly', async () => {
  const script = `
import ipaddress, socket, struct
def ask(address, port, name=b""):
    address = ipaddress.ip_address(address)
    if address.version == 4: address = ipaddress.ip_address("::ffff:" + str(address))
    it = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    it.connect((3, 9003))
    it.send(b"\\1\\1" + address.packed + struct.pack("!HB", port, len(name)) + name)
    print(it.recv(1))
ask("93.184.216.35", 80)
ask("10.0.0.9", 80, b"api.example.com")
ask("93.184.216.35", 80, b"api.example.com")
ask("169.254.169.254", 80, b"host.cloister.internal")
ask("127.0.0.1", 80, b"host.cloister.internal")`
  expect(await networked.python(script)).toBe("b'\\x01'\n".repeat(5))
})

test('what was refused is in the journal, with a rule that would allow it', () => {
  expect(networked.journal).toContain('93.184.216.35')
  expect(networked.journal).toContain('other.example.org')
})

describe('netd, which a program with root can find,', () => {
  const signal = (name: string): string => `
    for it in /proc/[0-9]*; do
      [ "$(cat $it/comm 2>/dev/null)" = cloister-netd ] && kill -${name} \${it#/proc/}
    done`

  test('has given up all but the calls that it needs', async () => {
    const script = `
      for it in /proc/[0-9]*; do
        [ "$(cat $it/comm 2>/dev/null)" = cloister-netd ] && cat $it/status
      done; true`
    const status = await networked.guest(script)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
    expect(status).toMatch(/^Seccomp:\t2$/m)
    expect(status).toMatch(/^CapEff:\t0+$/m)
  })

  test('is started again when it is killed, and its connections have ended', async () => {
    const script = `
      exec 3<>/dev/tcp/api.example.com/7
      echo before >&3; read -r line <&3; echo $line
      ${signal('KILL')}
      cat <&3
      until curl -s http://api.example.com/after; do sleep 0.1; done`
    const output = await networked.guest(script)
    expect(output).toMatch(/^before\n.*Connection reset by peer\nhello \/after over 1\.1\n$/)
  })

  test('lets nothing through while it is stopped, and goes on afterwards', async () => {
    const script = `
      ${signal('STOP')}
      curl -sS http://api.example.com/later > /tmp/later &
      sleep 2
      cat /tmp/later
      ${signal('CONT')}
      wait
      cat /tmp/later`
    expect(await networked.guest(script)).toBe('hello /later over 1.1\n')
  })
})
