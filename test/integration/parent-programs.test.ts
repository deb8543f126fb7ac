// Parent programs as AWS's users write them, unchanged, against enclaves: each language dials the
// guest, which dials the same language's server in turn. A server is up before its enclave.

import { execFile, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { guestRootfs } from '../fixtures/guest-program.ts'
import { nextLine, once } from '../fixtures/once.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

const run = promisify(execFile)
const sources = resolve(import.meta.dirname, '../parents')
const programs = mkdtempSync(join(tmpdir(), 'cloister-parents-'))
const DIALLER_PORT = 5006
const FIRST_CID = 41
const SECOND_CID = 42

let host: TestHost
let first: DescribedEnclave
let eif: string

interface Language {
  readonly client: readonly string[]
  readonly server: (port: number) => readonly string[]
}

const at = (name: string): string => join(programs, name)
const python = ['python3', join(sources, 'sample.py')]

const rust = resolve(sources, '../../target/x86_64-unknown-linux-gnu/release/examples/sample')

const languages: Readonly<Record<string, Language>> = {
  C: { client: [at('client')], server: (port) => [at('server'), `${port}`, '1'] },
  'static Go': {
    client: [at('go'), 'client'],
    server: (port) => [at('go'), 'server', `${port}`, '1'],
  },
  Rust: {
    client: [rust, 'client'],
    server: (port) => [rust, 'server', `${port}`, '1'],
  },
  Python: {
    client: [...python, 'client'],
    server: (port) => [...python, 'server', `${port}`, '1'],
  },
}

beforeAll(async () => {
  host = new TestHost()
  const [rootfs] = await Promise.all([
    guestRootfs(host.directory, 'probe'),
    run('cc', ['-Wall', '-Wextra', '-Werror', '-o', at('client'), join(sources, 'client.c')]),
    run('cc', ['-Wall', '-Wextra', '-static', '-o', at('server'), join(sources, 'server.c')]),
    run('cargo', [
      ...['build', '--quiet', '--locked', '--release'],
      ...['--package', 'cloister-parent', '--example', 'sample'],
    ]),
    run('go', ['build', '-o', at('go'), '.'], {
      cwd: join(sources, 'go'),
      env: { ...process.env, CGO_ENABLED: '0' },
    }),
  ])
  eif = await host.build('dialler', '--rootfs', rootfs, '--entrypoint', '/probe', 'dialler')
})

afterAll(async () => {
  rmSync(programs, { recursive: true, force: true })
  await host[Symbol.asyncDispose]()
})

function start(cid: number): Promise<DescribedEnclave> {
  const ports = ['--parent-ports', '8000-8010', '--enclave-cid', String(cid)]
  return host.start(eif, '--enclave-name', `dialler-${String(cid)}`, ...ports)
}

interface Ended {
  readonly status: number | null
  readonly output: string
}

async function ended(child: ChildProcess): Promise<Ended> {
  let output = ''
  child.stdout?.on('data', (bytes: Buffer) => (output += bytes.toString('utf8')))
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, output }
}

/** Starts a server, and waits until it listens. */
async function serve(command: readonly string[]): Promise<{ readonly end: Promise<Ended> }> {
  const child = host.parent(...command)
  const end = ended(child)
  await nextLine(child, 'stderr')
  return { end }
}

/** What a client prints that has the guest dial `port` of its parent with a word. */
async function ask(client: readonly string[], cid: number, port: number): Promise<Ended> {
  for (let tries = 0; ; tries++) {
    const child = host.parent(...client, String(cid), String(DIALLER_PORT))
    child.stdin?.end(`echo ${String(port)} word-of-${String(cid)}\n`)
    const result = await ended(child)
    if (result.status === 0 || tries === 50) return result // the app may need a moment after its enclave's start
  }
}

test('one server serves the enclaves of now and of later, and knows them by their CIDs', async () => {
  const { end } = await serve([at('server'), '8000', '2'])
  first = await start(FIRST_CID)
  const client = [at('client')]
  expect(await ask(client, FIRST_CID, 8000)).toEqual({ status: 0, output: '8000 open\nword-of-41' })
  const second = await start(SECOND_CID)
  expect(await ask(client, SECOND_CID, 8000)).toEqual({
    status: 0,
    output: '8000 open\nword-of-42',
  })
  expect(await end).toEqual({
    status: 0,
    output: expect.stringMatching(/^cid 41 port \d{4,}\ncid 42 port \d{4,}\n$/) as string,
  })
  await host.json('terminate-enclave', '--enclave-id', second.EnclaveID)
})

test.each(Object.entries(languages))(
  '%s dials and serves an enclave',
  async (_, { client, server }) => {
    const { end } = await serve(server(8001))
    expect(await ask(client, FIRST_CID, 8001)).toEqual({
      status: 0,
      output: '8001 open\nword-of-41',
    })
    expect((await end).output).toMatch(/^cid 41 port \d{4,}\n$/)
  },
)

test('socat dials and serves an enclave', async () => {
  const server = host.parent('socat', '-d', '-d', 'VSOCK-LISTEN:8002', 'EXEC:cat')
  const end = ended(server)
  await nextLine(server, 'stderr')
  const client = ['socat', '-t', '60', '-']
  const child = host.parent(...client, `VSOCK-CONNECT:${String(FIRST_CID)}:${String(DIALLER_PORT)}`)
  child.stdin?.end('echo 8002 word\n')
  expect((await ended(child)).output).toBe('8002 open\nword')
  expect((await end).status).toBe(0)
})

test('a port that its program has left is refused, and nothing of it is left', async () => {
  const { output } = await ask([at('client')], FIRST_CID, 8003)
  expect(output).toBe('8003 refused\n')
  expect(readdirSync(join(first.VsockSocket, '..')).filter((file) => /_80/.test(file))).toEqual([])
  expect(readdirSync(join(host.runtime, 'parents'))).toEqual([])
})
