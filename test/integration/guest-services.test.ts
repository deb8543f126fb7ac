// What the agent serves beside the app, in production mode, to programs that know nothing of it.

import { execFile } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { createVerifier, verifyAttestation } from '@cloister/attestation'
import { createAttestedFetch } from '@cloister/attestation/tls'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { CONFIG, ServicesEnclave } from '../fixtures/services-enclave.ts'
import { codeOf, faults, ok } from '../fixtures/guest-api-description.ts'
import { startRelay } from '../fixtures/tls-relay.ts'

let services: ServicesEnclave

beforeAll(async () => {
  services = await ServicesEnclave.start()
})
afterAll(async () => {
  await services[Symbol.asyncDispose]()
})

/** A verified document of the enclave. */
async function verified(document: Buffer, nonce: Uint8Array) {
  const root = new X509Certificate(services.root).raw
  const { Measurements } = services.enclave
  return verifyAttestation(document, { roots: [root], measurements: Measurements, nonce })
}

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
    expect(await verified(Buffer.from(document, 'base64'), nonce)).toMatchObject({
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
    const { userData, publicKey } = await verified(Buffer.from(document, 'base64'), nonce)
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

describe('attested TLS', () => {
  let port: number
  let deadPort: number
  const execute = promisify(execFile)

  beforeAll(async () => {
    const [first = 0, second = 0] = await services.forward(443, 8443)
    ;[port, deadPort] = [first, second]
    await vi.waitFor(async () => {
      expect((await curl('/up', '--fail')).status).toBe(200)
    }, 60_000)
  })

  /** What curl got; the certificate is nobody's. */
  async function curl(path: string, ...options: readonly string[]) {
    const write = ['-w', '\n%{http_code} %{http_version} %{content_type}']
    const url = `https://127.0.0.1:${String(port)}${path}`
    const { stdout } = await execute('curl', ['-sSk', ...write, ...options, url])
    const end = stdout.lastIndexOf('\n')
    const [status, version, type] = stdout.slice(end + 1).split(' ')
    return { body: stdout.slice(0, end), status: Number(status), version, type }
  }

  const question = (query: string): string => `/.well-known/attestation?${query}`
  const nonce = new Uint8Array(32).fill(7)
  const hex = Buffer.from(nonce).toString('hex')
  const verifier = () => {
    const { Measurements } = services.enclave
    const root = new X509Certificate(services.root).raw
    return createVerifier({ roots: [root], measurements: Measurements })
  }

  test('curl reaches the program with HTTP/1.1 and HTTP/2, pinned to the key in the document', async () => {
    const { body } = await curl(question(`nonce=${hex}`), '-H', 'Accept: application/json')
    const { document } = JSON.parse(body) as { readonly document: string }
    const { userData } = await verified(Buffer.from(document, 'base64'), nonce)
    const pin = `sha256//${Buffer.from(userData ?? []).toString('base64')}`
    for (const [flag, version] of [
      ['--http1.1', '1.1'],
      ['--http2', '2'],
    ] as const) {
      const options = [flag, '--tlsv1.3', '--pinnedpubkey', pin]
      const answer = await curl('/a/b?c=d', ...options, '-H', 'X-Forwarded-For: 9.9.9.9')
      expect(answer).toMatchObject({ status: 200, version })
      expect(JSON.parse(answer.body)).toMatchObject({
        ...{
          method: 'GET',
          target: '/a/b?c=d',
          protocol: 'HTTP/1.1',
          host: `127.0.0.1:${String(port)}`,
        },
        headers: { 'X-Forwarded-Proto': ['https'] },
      })
      expect(answer.body).not.toContain('9.9.9.9')
    }
    const other = `sha256//${Buffer.alloc(32).toString('base64')}`
    await expect(curl('/', '--pinnedpubkey', other)).rejects.toMatchObject({ code: 90 })
    await expect(curl('/', '--tls-max', '1.2')).rejects.toMatchObject({ code: 35 })
  })

  test("Python's http.client checks the key itself, and sends and gets long bodies", async () => {
    const script = `
import base64, hashlib, http.client, json, ssl, sys
context = ssl._create_unverified_context()
it = http.client.HTTPSConnection("127.0.0.1", ${String(port)}, context=context)
it.request("GET", "${question(`nonce=${hex}`)}")
document = it.getresponse().read()
it.request("POST", "/up", b"x" * 3000000)
up = json.loads(it.getresponse().read())
it.request("GET", "/bytes/3000000")
down = it.getresponse().read()
print(json.dumps([base64.b64encode(document).decode(), up["bytes"], up["sha256"], hashlib.sha256(down).hexdigest()]))`
    const { stdout } = await execute('python3', ['-c', script])
    const [document, ...others] = JSON.parse(stdout) as readonly [string, number, string, string]
    await verified(Buffer.from(document, 'base64'), nonce)
    const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
    expect(others).toEqual([
      3_000_000,
      sha256(Buffer.alloc(3_000_000, 'x')),
      sha256(Buffer.alloc(3_000_000, 'cloister')),
    ])
  })

  test.each(['key', 'connection'] as const)(
    'attestedFetch reaches it, bound to the %s',
    async (binding) => {
      const attestedFetch = createAttestedFetch({ verifier: verifier(), binding })
      const url = `https://127.0.0.1:${String(port)}/up`
      const answers = await Promise.all(
        [1, 2, 3].map(() => attestedFetch(url, { method: 'POST', body: 'x' })),
      )
      for (const answer of answers)
        expect(await answer.json()).toMatchObject({ method: 'POST', bytes: 1 })
      attestedFetch.close()
    },
  )

  test('a relay with a key of its own, and one that passes documents on, are refused', async () => {
    const relay = await startRelay(port)
    for (const binding of ['key', 'connection'] as const) {
      const attestedFetch = createAttestedFetch({ verifier: verifier(), binding })
      const code = binding === 'key' ? 'ERR_TLS_KEY_MISMATCH' : 'ERR_NONCE_MISMATCH'
      await expect(attestedFetch(relay.url)).rejects.toMatchObject({ code })
    }
    relay[Symbol.dispose]()
  })

  test('nobody gets the document of another connection, or one for another nonce', async () => {
    const bound = Buffer.concat([Buffer.from('tls-exporter:'), Buffer.alloc(32), nonce])
    for (const query of [
      `nonce=${bound.toString('hex')}`,
      'nonce=',
      `nonce=${hex}&binding=tls-unique`,
      `nonce=${hex}&user_data=AQ`,
    ]) {
      const { status, body } = await curl(question(query))
      expect([status, body]).toEqual([400, expect.stringContaining('ERR_EDGE_PARAMETER')])
    }
    const { body } = await curl(question(`nonce=${hex}`), '-H', 'Accept: application/json')
    const { document } = JSON.parse(body) as { readonly document: string }
    const bytes = Buffer.from(document, 'base64')
    await expect(verified(bytes, new Uint8Array(32))).rejects.toMatchObject({
      code: 'ERR_NONCE_MISMATCH',
    })
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    await expect(verified(bytes, nonce)).rejects.toMatchObject({ code: /^ERR_/ })
  })

  test('a WebSocket client talks through it', async () => {
    const script = `
      const it = new WebSocket('wss://127.0.0.1:${String(port)}/echo')
      it.binaryType = 'arraybuffer'
      const next = () => new Promise((done) => { it.onmessage = ({ data }) => done(data) })
      it.onerror = ({ message }) => { console.log(message); process.exit() }
      it.onopen = async () => {
        it.send('ping')
        console.log(await next())
        it.send(new Uint8Array(300000).fill(7))
        console.log(new Uint8Array(await next()).every((byte) => byte === 7))
        it.close()
      }`
    const env = { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0' }
    const node = ['--no-warnings', '--experimental-websocket', '-e', script]
    const { stdout } = await execute(process.execPath, node, { env })
    expect(stdout).toBe('ping\ntrue\n')
  })

  test('an answer arrives as it is written, not when it is whole', async () => {
    const lines: string[] = []
    const attestedFetch = createAttestedFetch({ verifier: verifier() })
    const { body } = await attestedFetch(`https://127.0.0.1:${String(port)}/tick`)
    for await (const part of body ?? []) {
      lines.push(Buffer.from(part as Uint8Array).toString())
      // The second line is written after this, and not before.
      if (lines.length === 1) await curl('/tock')
    }
    expect(lines).toEqual(['one\n', 'two\n'])
    attestedFetch.close()
  })

  test('where nothing listens it says so, and documents are answered all the same', async () => {
    const url = `https://127.0.0.1:${String(deadPort)}`
    const [program, document] = await Promise.all(
      ['/x', question(`nonce=${hex}`)].map((path) =>
        execute('curl', ['-sSk', url + path], { encoding: 'latin1' }),
      ),
    )
    expect(program?.stdout).toContain('ERR_EDGE_PROGRAM')
    await verified(Buffer.from(document?.stdout ?? '', 'latin1'), nonce)
  })

  test('requests that are not for a path of one host are refused', async () => {
    const script = `
import socket, ssl
for line in ["GET /x", "GET /x HTTP/1.1\\r\\nHost: a\\r\\nHost: b", "CONNECT a:1"]:
    it = ssl._create_unverified_context().wrap_socket(socket.create_connection(("127.0.0.1", ${String(port)})))
    head = line if " HTTP" in line else line + " HTTP/1.1" + ("\\r\\nHost: a" if "CONNECT" in line else "")
    it.sendall((head + "\\r\\nConnection: close\\r\\n\\r\\n").encode())
    answer = it.makefile("rb").read()
    print(answer[:12], b"ERR_EDGE_REQUEST" in answer)`
    const { stdout } = await execute('python3', ['-c', script])
    expect(stdout).toBe("b'HTTP/1.1 400' True\n".repeat(3))
  })

  test('it runs without privileges, and with another key when it was killed', async () => {
    const before = await curl('/up', '-v')
    expect(before.status).toBe(200)
    const attestedFetch = createAttestedFetch({ verifier: verifier() })
    const url = `https://127.0.0.1:${String(port)}/up`
    expect((await attestedFetch(url)).status).toBe(200)
    const status = await services.guest(`
path=$(grep -slx cloister-tls /proc/[0-9]*/comm)
pid=\${path//[!0-9]/}
grep -E '^(Uid|CapEff|NoNewPrivs)' /proc/$pid/status
kill -9 $pid`)
    expect(status).toMatch(/^Uid:\t(21474190\d\d)\t\1\t\1\t\1\nCapEff:\t0{16}\nNoNewPrivs:\t1\n$/)
    // A request may still be on its way to the key that is gone.
    await vi.waitFor(async () => {
      await expect(attestedFetch(url)).rejects.toMatchObject({ code: 'ERR_TLS_KEY_MISMATCH' })
    }, 30_000)
    expect((await attestedFetch(url)).status).toBe(200)
    attestedFetch.close()
  })
})
