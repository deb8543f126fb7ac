// What the agent serves beside the app, in production mode, to programs that know nothing of it.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeAttestedTls } from '../fixtures/attested-tls-tests.ts'
import { CONFIG, ServicesEnclave } from '../fixtures/services-enclave.ts'
import { codeOf, faults, ok } from '../fixtures/guest-api-description.ts'

let services: ServicesEnclave

beforeAll(async () => {
  services = await ServicesEnclave.start()
})
afterAll(async () => {
  await services[Symbol.asyncDispose]()
})

describe("the guest's API", () => {
  const curl = 'curl -sS --unix-socket /run/cloister/api.sock'
  const loopback = "curl -sS -H 'Cloister-Api: 1'"
  test('curl gets a document that verifies, with all that it asked for in it', async () => {
    const query = 'nonce=AAECAwQFBgcICQoLDA0ODw==&user_data=-_8&public_key=AQ'
    const answer = await services.guest(
      `${loopback} 'http://127.0.0.1:9010/v1/attestation?${query}'`,
    )
    expect(faults(answer, ok('/v1/attestation'))).toBeNull()
    const { document } = JSON.parse(answer) as { readonly document: string }
    const nonce = Uint8Array.from({ length: 16 }, (_, index) => index)
    expect(await services.verified(Buffer.from(document, 'base64'), nonce)).toMatchObject({
      userData: Uint8Array.of(0xfb, 0xff),
      publicKey: Uint8Array.of(1),
      debug: false,
    })
  })

  test("Python's http.client gets it as CBOR, over the socket, as a user without privileges", async () => {
    const answer = await services.python(`
import base64, http.client, os, socket
os.setgid(1000); os.setuid(1000)
class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/cloister/api.sock")
it = Local("localhost")
nonce = base64.urlsafe_b64encode(bytes([255] * 1024)).decode()
it.request("GET", "/v1/attestation?nonce=%s&user_data=%s&public_key=%s" % (nonce, nonce, nonce),
    headers={"Accept": "application/cbor"})
answer = it.getresponse()
print(answer.status, answer.getheader("Content-Type"), answer.getheader("Cache-Control"))
print(base64.b64encode(answer.read()).decode())`)
    const [head, document = ''] = answer.split('\n')
    expect(head).toBe('200 application/cbor no-store')
    const nonce = new Uint8Array(1024).fill(255)
    const { userData, publicKey } = await services.verified(Buffer.from(document, 'base64'), nonce)
    expect([userData, publicKey]).toEqual([nonce, nonce])
  })

  test('random bytes, as many as were asked for, and never the same', async () => {
    const script = `for n in 1 1024 1024; do ${curl} "http://it/v1/random?bytes=$n"; done; ${curl} http://it/v1/random`
    const answers = (await services.guest(script)).trimEnd().split('\n')
    expect(answers.map((answer) => faults(answer, ok('/v1/random')))).toEqual(Array(4).fill(null))
    const bytes = answers.map(
      (answer) => (JSON.parse(answer) as { readonly random: string }).random,
    )
    expect(bytes.map((text) => Buffer.from(text, 'base64').length)).toEqual([1, 1024, 1024, 32])
    expect(bytes[1]).not.toBe(bytes[2])
  })

  test('both clocks are within a minute of ours', async () => {
    const answer = await services.guest(`${curl} http://it/v1/time`)
    expect(faults(answer, ok('/v1/time'))).toBeNull()
    const { unixMs, nsmUnixMs } = JSON.parse(answer) as Readonly<Record<string, number>>
    for (const time of [unixMs, nsmUnixMs])
      expect(Math.abs((time ?? 0) - Date.now())).toBeLessThan(60_000)
  })

  test('the configuration, as files and as what PCR16 was extended with', async () => {
    const answer = await services.guest(`${curl} http://it/v1/config`)
    expect(faults(answer, ok('/v1/config'))).toBeNull()
    const { files } = JSON.parse(answer) as { readonly files: Readonly<Record<string, string>> }
    const texts = Object.entries(files).map(([name, text]) => [name, atob(text)])
    expect(Object.fromEntries(texts)).toEqual(CONFIG)
    const extended = await services.python(`
import hashlib, http.client, urllib.request
item = urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:9010/v1/config",
    headers={"Cloister-Api": "1", "Accept": "application/cbor"})).read()
print(hashlib.sha384(bytes(48) + hashlib.sha384(item).digest()).hexdigest())`)
    const config = ['--config-data', services.host.path('config')]
    expect(await services.host.json('pcr', ...config)).toEqual({ PCR16: extended.trim() })
  })

  test.each([
    [
      'without its header, as a fetch for a stranger is',
      'ERR_API_HEADER',
      'curl -sS',
      '/v1/random',
    ],
    ['a path that is not there', 'ERR_API_PATH', loopback, '/v1/keys'],
    ['another method', 'ERR_API_PATH', `${loopback} -X POST`, '/v1/random'],
    ['an unknown parameter', 'ERR_API_PARAMETER', loopback, '/v1/attestation?nonse=AQ'],
    ['a parameter twice', 'ERR_API_PARAMETER', loopback, '/v1/attestation?nonce=AQ&nonce=AQ'],
    ['text that is not base64', 'ERR_API_PARAMETER', loopback, '/v1/attestation?nonce=A'],
    ['no bytes', 'ERR_API_PARAMETER', loopback, '/v1/random?bytes=0'],
    ['too many bytes', 'ERR_API_PARAMETER', loopback, '/v1/random?bytes=1025'],
    [
      'a type that there is not',
      'ERR_API_ACCEPT',
      `${loopback} -H 'Accept: text/html'`,
      '/v1/time',
    ],
    [
      'a field of more than 1024 bytes',
      'ERR_API_PARAMETER',
      loopback,
      `/v1/attestation?user_data=${'A'.repeat(1368)}`,
    ],
  ])('refuses %s', async (_, code, program, path) => {
    expect(codeOf(await services.guest(`${program} 'http://127.0.0.1:9010${path}'`))).toBe(code)
  })

  test('is on no other address, and refuses heads that do not end', async () => {
    const answers = await services.python(`
import socket
def outcome(host, text):
    try:
        it = socket.create_connection((host, 9010), timeout=60)
        it.sendall(text)
        return it.recv(64).split(b"\\r\\n")[0].decode()
    except OSError as error:
        return type(error).__name__
print(outcome("::1", b""))
print(outcome("127.0.0.2", b""))
print(outcome("127.0.0.1", b"GET /" + b"a" * 100000))
print(outcome("127.0.0.1", b"GET / HTTP/1.1\\r\\n" + b"a: b\\r\\n" * 5000))
print(outcome("127.0.0.1", b"\\x16\\x03\\x01\\x00\\x00"))`)
    const [first, second, ...others] = answers.trimEnd().split('\n')
    expect([first, second]).toEqual(['ConnectionRefusedError', 'ConnectionRefusedError'])
    for (const answer of others) expect(answer).toMatch(/^HTTP\/1\.1 4\d\d |^ConnectionResetError$/)
  })

  test('a crowd that holds every connection of the loopback leaves the socket alone', async () => {
    const answer = await services.python(`
import socket, urllib.request
crowd = [socket.create_connection(("127.0.0.1", 9010)) for _ in range(100)]
it = socket.socket(socket.AF_UNIX)
it.connect("/run/cloister/api.sock")
it.sendall(b"GET /v1/random HTTP/1.0\\r\\n\\r\\n")
print(it.recv(64)[:15].decode())
for member in crowd: member.close()
again = urllib.request.Request("http://127.0.0.1:9010/v1/random", headers={"Cloister-Api": "1"})
print(urllib.request.urlopen(again).status)`)
    expect(answer).toBe('HTTP/1.0 200 OK\n200\n')
  })

  test('too many requests per second are refused, and later ones are answered', async () => {
    const answer = await services.python(`
import re, socket, time
def ask(count):
    it = socket.socket(socket.AF_UNIX)
    it.connect("/run/cloister/api.sock")
    request = b"GET /v1/random?no=1 HTTP/1.1\\r\\nHost: it\\r\\n"
    it.sendall((request + b"\\r\\n") * (count - 1) + request + b"Connection: close\\r\\n\\r\\n")
    return it.makefile("rb").read()
answers = ask(3000)
statuses = re.findall(rb"HTTP/1.1 (\\d+)", answers)
# One of the last may be answered: a hundred are in each second.
print(len(statuses), statuses[0], b"429" in statuses[-50:], set(statuses) == {b"400", b"429"})
print(answers.count(b"ERR_API_BUSY") == statuses.count(b"429") == answers.count(b"retry-after: 1"))
time.sleep(1.1)
print(re.findall(rb"HTTP/1.1 (\\d+)", ask(1)))`)
    expect(answer).toBe("3000 b'400' True True\nTrue\n[b'400']\n")
  })

  test('it runs without privileges, and is back when it was killed', async () => {
    const answer = await services.guest(`
path=$(grep -slx cloister-api /proc/[0-9]*/comm)
pid=\${path//[!0-9]/}
grep -E '^(Uid|CapEff|NoNewPrivs|Groups)' /proc/$pid/status
kill -9 $pid
for i in {1..100}; do ${curl} http://it/v1/random && break; sleep 0.1; done`)
    expect(answer).toMatch(/^Uid:\t(21474190\d\d)\t\1\t\1\t\1\n/)
    expect(answer).toMatch(/\nCapEff:\t0{16}\nNoNewPrivs:\t1\n/)
    expect(answer).toMatch(/\{"random":"/)
  })
})

describeAttestedTls(() => services)
