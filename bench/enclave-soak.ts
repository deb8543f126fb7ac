// Long lives: many enclaves at once, many one after the other, and a guest that never stops asking. What
// would grow is looked at before and after.

import { readdirSync, readFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect } from 'vitest'
import { requestDocument } from '../src/cli/hello-client.ts'
import { encodeFrame, readFrames } from '../src/vsock/index.ts'
import { guestProgram } from '../test/fixtures/guest-program.ts'
import { helloRootfs, TestHost, type DescribedEnclave } from '../test/host.ts'

const AT_ONCE = 20
const CYCLES = Number(process.env['CLOISTER_SOAK_CYCLES'] ?? 200)
const REQUESTS = 1_000_000
const SMALLEST_MIB = '64'
const MIB = 2 ** 20
/** What a process may have more at the end: a heap that is collected now and then. */
const SLACK_MIB = 24
const HEARTBEAT = Uint8Array.of(0xb7)
const HELD_AGENT = 'unconfigured'
const CMDLINE = `reboot=t panic=-1 virtio_mmio.device=512@0xfeb00e00:12 no_timer_check -- hostile-agent ${HELD_AGENT}`

/** Twenty of the smallest enclaves, started at the same moment. */
export async function manyAtOnce(): Promise<void> {
  await using host = new TestHost()
  const eif = await host.build('hello')
  const start = (): Promise<DescribedEnclave> => host.start(eif, '--memory', SMALLEST_MIB)
  const begin = performance.now()
  const enclaves = await Promise.all(Array.from({ length: AT_ONCE }, start))
  say(`${String(AT_ONCE)} at once were up after ${seconds(begin)} s`)
  for (const { VsockSocket } of enclaves)
    expect((await requestDocument(VsockSocket, Uint8Array.of(1))).length).toBeGreaterThan(0)
  await host.json('terminate-enclave', '--all', '--timeout', '0')
  expect(await host.list()).toEqual([])
}

/** Starts and stops beside an enclave that lives through all of them. */
export async function manyInTurn(): Promise<void> {
  await using host = new TestHost()
  const eif = await host.build('hello')
  const witness = await host.start(eif, '--enclave-name', 'witness')
  await cycle(host, eif)
  const before = [traces(host), sizes(witness)] as const
  const begin = performance.now()
  for (let count = 0; count < CYCLES; count++) await cycle(host, eif)
  const after = [traces(host), sizes(witness)] as const
  say(`${String(CYCLES)} cycles in ${seconds(begin)} s: ${JSON.stringify({ before, after })}`)
  expect(after[0]).toEqual(before[0])
  expectNoGrowth(before[1], after[1])
  expect(await host.describe(witness.EnclaveID)).toMatchObject({ State: 'RUNNING' })
}

/** A million requests to each port of the parent that every guest can reach. */
export async function manyRequests(): Promise<void> {
  await using host = new TestHost()
  const neighbour = await host.start(await host.build('neighbour'))
  const init = ['--init', await guestProgram('probe')]
  const source = ['--rootfs', helloRootfs, '--entrypoint', '/hello', ...init]
  const asked = await host.start(await host.build('asked', ...source, '--cmdline', CMDLINE))
  const before = sizes(asked)
  for (const [port, ask] of [
    [9000, heartbeats],
    [9001, nsmRequests],
    [9002, strangers],
  ] as const) {
    const begin = performance.now()
    await ask(`${asked.VsockSocket}_${String(port)}`)
    say(`${String(REQUESTS)} requests to port ${String(port)} in ${seconds(begin)} s`)
  }
  const after = sizes(asked)
  say(JSON.stringify({ before, after }))
  expectNoGrowth(before, after)
  expect(await host.describe(asked.EnclaveID)).toMatchObject({ State: 'RUNNING' })
  const document = await requestDocument(neighbour.VsockSocket, Uint8Array.of(1))
  expect(document.length).toBeGreaterThan(0)
}

async function cycle(host: TestHost, eif: string): Promise<void> {
  await host.json('run-enclave', '--eif-path', eif, '--enclave-name', 'cycle', '--memory', '128')
  await host.json('terminate-enclave', '--enclave-name', 'cycle', '--timeout', '0')
}

/** What an enclave that has ended could leave on its host, counted. */
function traces(host: TestHost): Readonly<Record<string, number>> {
  const lines = (path: string): readonly string[] => readFileSync(path, 'utf8').split('\n')
  const ours = (path: string): number =>
    lines(path).filter((it) => it.includes(host.runtime)).length
  return {
    processes: host.processes().length,
    sockets: ours('/proc/net/unix'),
    mounts: lines('/proc/self/mounts').length,
    groups: groupsBelow('/sys/fs/cgroup'),
    names: host.leftovers().length,
    // Those that are remembered, and the one that runs.
    enclaves: Math.max(readdirSync(join(host.runtime, 'enclaves')).length, 21),
  }
}

function groupsBelow(directory: string): number {
  const names = readdirSync(directory, { recursive: true, withFileTypes: true })
  return names.filter((it) => it.isDirectory() && it.name.startsWith('cloister-i-')).length
}

type Sizes = Readonly<Record<string, { readonly mib: number; readonly descriptors: number }>>

function sizes({ ProcessID, Processes }: DescribedEnclave): Sizes {
  const all = Object.entries({ keeper: ProcessID, ...Processes })
  return Object.fromEntries(
    all.map(([name, pid]) => {
      const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
      const kib = Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1])
      const descriptors = readdirSync(`/proc/${String(pid)}/fd`).length
      return [name, { mib: Math.round((kib * 1024) / MIB), descriptors }]
    }),
  )
}

function expectNoGrowth(before: Sizes, after: Sizes): void {
  for (const [name, { mib, descriptors }] of Object.entries(after)) {
    expect(mib, name).toBeLessThanOrEqual((before[name]?.mib ?? 0) + SLACK_MIB)
    expect(descriptors, name).toBeLessThanOrEqual((before[name]?.descriptors ?? 0) + 4)
  }
}

async function heartbeats(path: string): Promise<void> {
  for (let count = 0; count < REQUESTS; count++) {
    const socket = await dial(path)
    socket.write(HEARTBEAT)
    await gone(socket)
  }
}

/** The agent's connection is taken: these are hung up on. */
async function strangers(path: string): Promise<void> {
  for (let count = 0; count < REQUESTS; count++) {
    const socket = await dial(path)
    socket.write(Uint8Array.of(0, 0, 16, 0, 0x61))
    await gone(socket)
  }
}

/** Half of them garbage, all on one connection, a thousand on their way at a time. */
async function nsmRequests(path: string): Promise<void> {
  const socket = await dial(path)
  const answers = readFrames(socket, 65_536)[Symbol.asyncIterator]()
  const pair = [Buffer.from('6b44657363726962654e534d', 'hex'), Buffer.from('ff00ff', 'hex')]
  const batch = Buffer.concat(Array.from({ length: 500 }, () => pair.map(encodeFrame)).flat())
  for (let count = 0; count < REQUESTS; count += 1000) {
    socket.write(batch)
    for (let answer = 0; answer < 1000; answer++) expect((await answers.next()).done).toBe(false)
  }
  socket.destroy()
}

async function dial(path: string): Promise<Socket> {
  const socket = createConnection(path)
  socket.on('error', () => socket.destroy())
  await happened(socket, 'connect', 'close')
  return socket
}

async function gone(socket: Socket): Promise<void> {
  socket.resume()
  if (!socket.closed) await happened(socket, 'close')
}

/** Unlike `once`, does not reject when the connection is reset, as it may be here. */
function happened(socket: Socket, ...events: readonly ('connect' | 'close')[]): Promise<void> {
  return new Promise((resolve) => {
    for (const event of events)
      socket.once(event, () => {
        resolve()
      })
  })
}

function seconds(begin: number): string {
  return ((performance.now() - begin) / 1000).toFixed(0)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
