// What the rules of an enclave's manifest deny stays out of reach, whatever a program with root in the guest
// tries; and netd killed or stopped lets nothing through.

import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { confinementOf } from '../fixtures/confined-process.ts'
import { childrenOf } from '../fixtures/processes.ts'
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
const ECONNREFUSED = '111'
const EHOSTUNREACH = '113'
const EAI_NONAME = '-2'
const NXDOMAIN = '3'

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
    ['an address that no rule allows', '93.184.216.35', ECONNREFUSED],
    ['a private address', '10.0.0.9', ECONNREFUSED],
    ['the metadata service', '169.254.169.254', ECONNREFUSED],
    ['the metadata service with IPv6', 'fd00:ec2::254', EACCES],
    ['a neighbour of the address of the host', '198.18.0.9', ECONNREFUSED],
    ['an IPv4 address in IPv6', '::ffff:93.184.216.35', ECONNREFUSED],
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

  test.each([
    ['a denied address', 0],
    ['a denied IPv6 address', 1],
    ['a private address', 2],
    ['the metadata service', 3],
    ['the metadata service with IPv6', 4],
  ])('where a redirect leads: %s', async (_, index) => {
    const fetched = await networked.guest(`curl -sSL http://api.example.com/away/${String(index)}`)
    expect(fetched).toMatch(/Couldn't connect/)
  })

  test("another resolver, over TCP or by a name of the host's", async () => {
    const script = `${attempt}
for address in ["93.184.216.35", "10.0.0.9", "127.0.0.53", "198.18.0.1"]:
    attempt(lambda: socket.create_connection((address, 53), 10))`
    // 127.0.0.53 is the guest's own loopback, where nobody listens.
    expect(await networked.python(script)).toBe(`${ECONNREFUSED}\n`.repeat(4))
  })

  test('any other port of a denied address', async () => {
    const script = `${attempt}
for port in [1, 22, 53, 853, 4000, 65535]:
    attempt(lambda: socket.create_connection(("93.184.216.35", port), 10))`
    expect(await networked.python(script)).toBe(`${ECONNREFUSED}\n`.repeat(6))
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
    const each = `${EAI_NONAME}\n${NXDOMAIN}\n${NXDOMAIN}\n`
    expect(await networked.python(script)).toBe(each.repeat(NAMES.length))
    const asked = await networked.outside.asked()
    expect(asked.filter((name) => NAMES.includes(name))).toEqual([])
  })

  test('and is passed over in a list of domains to search', async () => {
    const script = `
import os, socket
os.environ["LOCALDOMAIN"] = "other.example.org example.com"
print(socket.gethostbyname("api"))`
    expect(await networked.python(script)).toMatch(/^93\.184\.216\.\d+\n$/)
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
    expect(await networked.python(script)).toBe(`${ECONNREFUSED}\n`.repeat(3))
  })

  test('to a denied IPv6 address, and to IPv4 addresses in IPv6', async () => {
    const script = `${attempt}
for address in ["2606:2800:220:2::35", "fd00:ec2::254", "::ffff:93.184.216.35", "::ffff:169.254.169.254"]:
    for port in [53, 443]:
        it = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        it.connect((address, port))
        it.send(b"secret")
        attempt(lambda: it.recv(10))`
    const each = [EACCES, EACCES, ECONNREFUSED, ECONNREFUSED]
    expect(await networked.python(script)).toBe(
      each.map((errno) => `${errno}\n`.repeat(2)).join(''),
    )
  })

  test('of a socket that is not connected, which hears of it where it asks for errors', async () => {
    const script = `${attempt}
IP_RECVERR, IPV6_RECVERR = 11, 25
for family, address, level, name in [
    (socket.AF_INET, "93.184.216.35", socket.IPPROTO_IP, IP_RECVERR),
    (socket.AF_INET6, "2606:2800:220:2::35", socket.IPPROTO_IPV6, IPV6_RECVERR),
]:
    it = socket.socket(family, socket.SOCK_DGRAM)
    it.setsockopt(level, name, 1)
    it.sendto(b"secret", (address, 9))
    attempt(lambda: it.recv(10))`
    expect(await networked.python(script)).toBe(`${ECONNREFUSED}\n${EACCES}\n`)
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
# The same in fragments, in IPv6, and the beginning of a connection.
first = struct.pack("!BBHHHBBH", 0x45, 0, 28, 9, 0x2000, 64, 17, 0) + socket.inet_aton("198.18.0.2") + to
rest = struct.pack("!BBHHHBBH", 0x45, 0, 26, 9, 1, 64, 17, 0) + socket.inet_aton("198.18.0.2") + to
packet.sendto(first + data[:8], ("cloister0", 0x0800))
packet.sendto(rest + data[8:], ("cloister0", 0x0800))
guest = socket.inet_pton(socket.AF_INET6, "fd63:6c6f:6973::2")
six = struct.pack("!IHBB", 0x60000000, len(data), 17, 64) + guest + socket.inet_pton(socket.AF_INET6, "2606:2800:220:2::35")
packet.sendto(six + data, ("cloister0", 0x86dd))
opening = struct.pack("!2H2I2B3H", 4000, 80, 1, 0, 0x50, 2, 1000, 0, 0)
header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + socket.inet_aton("198.18.0.2") + to
packet.sendto(header + opening, ("cloister0", 0x0800))
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

/** Asks the host part without netd: a program's own words on a stream to it. */
const askHost = `
import ipaddress, socket, struct
def request(kind, address, port, name=b""):
    address = ipaddress.ip_address(address)
    if address.version == 4: address = ipaddress.ip_address("::ffff:" + str(address))
    it = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    it.connect((3, 9003))
    it.send(bytes([1, kind]) + address.packed + struct.pack("!HB", port, len(name)) + name)
    return it, it.recv(1)
TCP, UDP, DNS = 1, 2, 3
def question(name):
    labels = b"".join(bytes([len(it)]) + it.encode() for it in name.split("."))
    return struct.pack("!6H", 7, 256, 1, 0, 0, 0) + labels + b"\\0" + struct.pack("!2H", 1, 1)
def look_up(name):
    it, _ = request(DNS, "::", 0)
    it.send(struct.pack("!H", len(question(name))) + question(name))
    return it.recv(512)[5] & 15
`

test('the host part decides the same when a program asks it directly', async () => {
  const script = `${askHost}
for kind in [TCP, UDP]:
    for address, port, name in [
        ("93.184.216.35", 443, b""), ("2606:2800:220:2::35", 443, b""), ("10.0.0.9", 80, b"api.example.com"),
        ("93.184.216.35", 80, b"api.example.com"), ("169.254.169.254", 80, b"host.cloister.internal"),
        ("127.0.0.1", 80, b"host.cloister.internal"), ("64:ff9b:1:a9fe:a9:fe00::", 80, b"api.example.com"),
    ]:
        print(request(kind, address, port, name)[1])
for name in ["other.example.org", "bad.example.com"]: print(look_up(name))`
  const told = "b'\\x01'\n".repeat(14) + `${NXDOMAIN}\n`.repeat(2)
  expect(await networked.python(script)).toBe(told)
  const asked = await networked.outside.asked()
  expect(asked.filter((name) => /other|bad/.test(name))).toEqual([])
})

test('what was refused is in the journal, with a rule that would allow it', () => {
  expect(networked.journal).toContain('93.184.216.35')
  expect(networked.journal).toContain('other.example.org')
})

test('the network card on the host has a user and a root of its own, no capability, and its sandbox', () => {
  const { enclave } = networked
  const card = enclave.Processes['network card'] ?? 0
  const confinement = confinementOf(card)
  expect(confinement).toMatchObject({
    ...{ noNewPrivileges: true, seccomp: 2, capabilities: ['0', '0', '0'] },
    ...{ root: join(dirname(dirname(enclave.VsockSocket)), 'network') },
    ...{ network: confinementOf(enclave.ProcessID).network },
  })
  const parts = [enclave.ProcessID, ...Object.values(enclave.Processes)]
  const users = parts.map((pid) => confinementOf(pid).uid)
  expect(users.filter((uid) => uid === confinement.uid)).toHaveLength(1)
  expect(childrenOf(card)).toEqual([])
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
    expect(status).toMatch(/^Uid:\t(21474190\d\d)\t\1\t\1\t\1$/m)
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

  test('is replaced by a program, which gets what the rules allow and no more', async () => {
    const script = `
cat > /tmp/kill <<'END'
${signal('KILL')}
END
python3 - <<'END'
${askHost}
import subprocess
def while_it_is_gone(what):
    subprocess.run(["bash", "/tmp/kill"])
    return what()
print(while_it_is_gone(lambda: look_up("api.example.com")))
print(while_it_is_gone(lambda: request(TCP, "93.184.216.34", 80, b"api.example.com")[1]))
print(while_it_is_gone(lambda: request(TCP, "93.184.216.35", 80, b"api.example.com")[1]))
try: open("/dev/net/tun", "r+b", buffering=0).read(1)
except OSError as error: print(error.errno)
import fcntl
TUNSETIFF, TUN, NO_PI, MULTI_QUEUE, VNET_HDR = 0x400454ca, 1, 0x1000, 0x100, 0x4000
def attach(flags):
    tun = open("/dev/net/tun", "r+b", buffering=0)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"cloister0", flags))
    return "attached"
for flags in [TUN | NO_PI | VNET_HDR, TUN | NO_PI | VNET_HDR | MULTI_QUEUE, TUN]:
    try: print(while_it_is_gone(lambda: attach(flags)))
    except OSError as error: print(error.errno)
END
until curl -s http://api.example.com/after; do sleep 0.1; done`
    const [EBADFD, EBUSY, EINVAL] = ['77', '16', '22']
    // The agent keeps the device for the next netd: nobody else gets it meanwhile.
    const tun = [EBADFD, EBUSY, EINVAL, EBUSY]
    expect(await networked.guest(script)).toBe(
      `0\nb'\\x00'\nb'\\x01'\n${tun.join('\n')}\nhello /after over 1.1\n`,
    )
  })

  test.each([
    ['netd', () => networked.guest(`${signal('KILL')}; true`)],
    [
      'the network card',
      () => process.kill(networked.enclave.Processes['network card'] ?? 0, 'SIGKILL'),
    ],
  ])(
    '%s, killed, ends questions on their way, and datagrams find the next one',
    async (_, kill) => {
      const script = `${attempt}
import pathlib, time
def question(name):
    labels = b"".join(bytes([len(it)]) + it.encode() for it in name.split("."))
    return struct.pack("!6H", 7, 256, 1, 0, 0, 0) + labels + b"\\0" + struct.pack("!2H", 1, 1)
def datagrams(address, port):
    it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    it.connect((address, port))
    it.settimeout(2)
    return it
def again(what):
    for _ in range(100):
        try: return what()
        except OSError: time.sleep(0.1)
api = socket.gethostbyname("api.example.com")
echo, asking = datagrams(api, 7), datagrams("198.18.0.3", 53)
def echoes():
    socket.gethostbyname("api.example.com")
    echo.send(b"echo")
    return echo.recv(10)
def answers():
    asking.send(question("api.example.com"))
    answer = asking.recv(512)
    if answer[3] & 15: raise OSError
    return answer[6:8]
print(again(echoes), again(answers))
over_tcp = socket.create_connection(("198.18.0.3", 53), 30)
silent = question("silent.example.com")
over_tcp.send(struct.pack("!H", len(silent)) + silent)
asking.send(silent)
pathlib.Path("/tmp/on-their-way").touch()
try: end = over_tcp.recv(512)
except ConnectionResetError: end = b""
print("ended", end == b"" or end[5] & 15)
print(again(echoes), again(answers))`
      const flows = networked.python(script)
      await networked.guest(
        'until [ -e /tmp/on-their-way ]; do sleep 0.05; done; busybox rm /tmp/on-their-way',
      )
      await kill()
      expect(await flows).toMatch(
        /^b'echo' b'\\x00\\x01'\nended (True|2)\nb'echo' b'\\x00\\x01'\n$/,
      )
    },
  )

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
