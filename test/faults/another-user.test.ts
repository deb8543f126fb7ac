// Cloister for a user without privileges: the same commands, his own directories, nothing of root's.

import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { identifyProcess } from '../../src/subprocess/index.ts'
import { confinementOf } from '../fixtures/confined-process.ts'
import { makeHostTree } from '../fixtures/host-tree.ts'
import { addShell, inGuest } from '../fixtures/network/guest-shell.ts'
import { once } from '../fixtures/once.ts'
import { everyPid } from '../fixtures/processes.ts'
import { expectNothingForStrangers } from '../fixtures/stranger.ts'
import { resultOf, type CliResult, type DescribedEnclave } from '../host.ts'

const repository = resolve(import.meta.dirname, '../..')
const UID = 61235

/** Holds what the user needs, in places that he can enter. */
let place: string

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'cl-user-'))
  chmodSync(place, 0o755)
  for (const name of ['repository', 'h']) mkdirSync(join(place, name))
  chownSync(join(place, 'h'), UID, UID)
})

afterAll(async () => {
  await as('cloister terminate-enclave --all --timeout 0')
  expect(processesOf(UID)).toEqual([])
  rmSync(place, { recursive: true, force: true })
})

/** Runs a shell script as the user, who sees the repository in a place he can enter. */
function as(script: string): Promise<CliResult> {
  const node = join(place, 'node')
  const main = join(place, 'repository/bundle/cli/main.js')
  const user = `cloister() { '${node}' '${main}' "$@"; }; cd ~; ${script}`
  const drop = `setpriv --reuid=${String(UID)} --regid=${String(UID)} --clear-groups --inh-caps=-all`
  const root = `mount --bind '${repository}' '${place}/repository' && touch '${node}' &&
    mount --bind '${process.execPath}' '${node}' && exec ${drop} bash -c "$SCRIPT"`
  const env = { PATH: process.env['PATH'], HOME: join(place, 'h'), SCRIPT: user }
  const runtime = join(place, 'h/r')
  const options = { env: { ...env, XDG_RUNTIME_DIR: runtime } }
  return resultOf(['unshare', '--mount', 'bash', '-c', root], options)
}

async function json<T>(script: string): Promise<T> {
  const { status, stdout, stderr } = await as(script)
  expect(status, stderr).toBe(0)
  return JSON.parse(stdout) as T
}

function processesOf(uid: number): readonly number[] {
  return everyPid().filter(
    (pid) =>
      statSync(join('/proc', String(pid)), { throwIfNoEntry: false })?.uid === uid &&
      identifyProcess(pid) !== undefined,
  )
}

async function started(): Promise<DescribedEnclave> {
  const [enclave] = await json<readonly DescribedEnclave[]>(
    'cloister run --eif-path hello.eif --memory 128 > /dev/null && cloister list',
  )
  if (enclave === undefined) throw new Error('no enclave runs')
  return enclave
}

test('the demo runs, from building to verifying', async () => {
  const { status, stdout, stderr } = await as('umask 077; cloister demo')
  expect(status, stderr).toBe(0)
  expect(stdout).toContain('The document verifies')
})

test('everything he gets is his own and private', async () => {
  const rootfs = join(place, 'repository/build/hello/rootfs')
  await json(`cloister build --rootfs ${rootfs} --entrypoint /hello --output-file hello.eif`)
  const enclave = await started()
  const parts = [enclave.ProcessID, ...Object.values(enclave.Processes)]
  expect(parts.map((pid) => statSync(`/proc/${String(pid)}`).uid)).toEqual([UID, UID, UID, UID])
  for (const directory of ['r/cloister', '.local/state/cloister']) {
    const { uid, mode } = statSync(join(place, 'h', directory))
    expect([directory, uid, mode & 0o777]).toEqual([directory, UID, 0o700])
  }
  const listed = await as('cloister terminate-enclave --enclave-name hello')
  expect(listed.status, listed.stderr).toBe(0)
})

describe('an image with egress and a published port', () => {
  const server = createServer((_, response) => response.end('from the host'))
  let enclave: DescribedEnclave & { readonly Published: readonly { HostAddress: string }[] }

  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const root = join(place, 'root')
    makeHostTree(root, { programs: ['bash', 'socat', 'cat', 'curl'] })
    addShell(root)
    const echo = 'socat TCP-LISTEN:7,fork,reuseaddr,bind=127.0.0.1 EXEC:/bin/cat &'
    writeFileSync(join(root, 'start'), `#!/bin/bash\n${echo}\nexec /serve-shell\n`, { mode: 0o755 })
    writeFileSync(join(place, 'cloister.yaml'), manifestFor(port))
    ;[enclave] = await json(`
      cloister build --manifest ${join(place, 'cloister.yaml')} --output-file net.eif > /dev/null &&
      cloister run --eif-path net.eif --guest-ports 5005 -p 0:7 > /dev/null && cloister list`)
    await inGuest(enclave.VsockSocket, 'true')
  })
  afterAll(async () => {
    server.close()
    await as(`cloister terminate-enclave --enclave-id ${enclave.EnclaveID}`)
  })

  test('reaches what its rules allow on his host, and nothing else', async () => {
    const { port } = server.address() as AddressInfo
    const url = `http://host.cloister.internal:${String(port)}/`
    expect(await inGuest(enclave.VsockSocket, `curl -sS ${url}`)).toBe('from the host')
    const other = 'curl -sS -m 30 http://host.cloister.internal:9/'
    expect(await inGuest(enclave.VsockSocket, other)).toMatch(/Couldn't connect/)
  })

  test('is reached at its published port', async () => {
    const [host, port] = enclave.Published[0]?.HostAddress.split(':') ?? []
    const client = connect(Number(port), host)
    client.end('echoed')
    let heard = ''
    for await (const bytes of client) heard += String(bytes)
    expect(heard).toBe('echoed')
  })

  test('has a network card that is confined, with a root of its own', () => {
    const confinement = confinementOf(enclave.Processes['network card'] ?? 0)
    expect(confinement).toMatchObject({
      ...{ uid: UID, noNewPrivileges: true, seccomp: 2, capabilities: ['0', '0', '0'] },
      root: join(dirname(dirname(enclave.VsockSocket)), 'network'),
    })
    const journal = join(dirname(dirname(enclave.VsockSocket)), 'journal.log')
    expect(readFileSync(journal, 'utf8')).toMatch(
      /the network card is confined: .* a root of its own/,
    )
  })

  test('is out of reach for a third user', async () => {
    // What lies above is not Cloister's.
    chmodSync(join(place, 'h/r'), 0o755)
    await expectNothingForStrangers(enclave, join(place, 'h/r/cloister'))
  })
})

function manifestFor(hostPort: number): string {
  return `cloister: 1
name: net
version: '1'
source: { rootfs: root }
run: { entrypoint: [/start] }
resources: { memory: 256M }
ports: [5005]
ingress: { ports: [7] }
egress:
  allow:
    - { host: host.cloister.internal, ports: [${String(hostPort)}], private: true }
`
}

test.each(['QEMU', 'keeper'])(
  'when %s is killed, everything of theirs is gone and the record says so',
  async (part) => {
    const enclave = await started()
    const victim = part === 'keeper' ? enclave.ProcessID : enclave.Processes[part]
    process.kill(victim ?? 0, 'SIGKILL')
    await expect.poll(() => processesOf(UID), { interval: 20 }).toEqual([])
    const all = await json<readonly DescribedEnclave[]>('cloister list --all')
    const record = all.find(({ EnclaveID }) => EnclaveID === enclave.EnclaveID)
    expect(record).toMatchObject({ State: 'TERMINATED', End: { First: part } })
  },
)
