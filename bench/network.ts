// The network of an enclave beside what people use for the same: socat over the same vsock, a port each, which
// knows no rules. The floor is the host's loopback. One guest, one program, in turns.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addShell, inGuest } from '../test/fixtures/network/guest-shell.ts'
import { guestProgram } from '../test/fixtures/guest-program.ts'
import { makeHostTree } from '../test/fixtures/host-tree.ts'
import { TestHost, type DescribedEnclave } from '../test/host.ts'
import { median, type BenchRow } from './row.ts'

const rounds = 3
const bytes = 100_000_000
const echoes = 2000
const connections = 500
const SOCAT_PORT = 8000
/** Its own default, 8 KiB, would be its brake. */
const SOCAT_BYTES = 262_144

const metrics = {
  down: 'TCP to the guest, MB/s (at least 0.8x of socat)',
  up: 'TCP from the guest, MB/s (at least 0.8x of socat)',
  // No percentiles: under TCG the guest's clock advances in steps of 10 ms.
  echo: '64-byte echoes per second (at least 1x of socat)',
  connect: 'new connections per second (at least 1x of socat)',
} as const

type Metric = keyof typeof metrics
type Sample = Record<Metric, number>
type Peer = 'ours' | 'socat' | 'loopback'

/** Runs net-load with these words and returns the JSON that it prints. */
type Run = (...words: readonly string[]) => Promise<Readonly<Record<string, number>>>

/** Measures every claim; prints and returns the rows. */
export async function run(): Promise<readonly BenchRow[]> {
  await using bench = await NetworkBench.start()
  const samples: Record<Peer, Sample[]> = { ours: [], socat: [], loopback: [] }
  for (let round = 0; round < rounds; round++) {
    for (const [peer, measured] of Object.entries(samples) as [Peer, Sample[]][]) {
      measured.push(await measure(bench.runner(peer)))
    }
  }
  process.stdout.write(`${JSON.stringify({ ...samples, resident: bench.residentMib() })}\n`)
  return (Object.keys(metrics) as Metric[]).flatMap((metric) =>
    (['socat', 'loopback'] as const).map((peer) =>
      row(metric, samples.ours, [peer, samples[peer]]),
    ),
  )
}

function row(
  metric: Metric,
  ours: readonly Sample[],
  [peer, theirs]: readonly [Peer, readonly Sample[]],
): BenchRow {
  const [our, their] = [ours, theirs].map((list) =>
    median(list.map((sample) => sample[metric])),
  ) as [number, number]
  return {
    claim: metrics[metric],
    ours: our.toFixed(2),
    peer: `${peer} ${their.toFixed(2)}`,
    ratio: our / their,
  }
}

async function measure(run: Run): Promise<Sample> {
  const down = await run('down', String(bytes))
  const up = await run('up', String(bytes))
  const echo = await run('echo', String(echoes))
  const connect = await run('connect', String(connections))
  const figure = (result: Readonly<Record<string, number>>, name: string): number =>
    result[name] ?? Number.NaN
  return {
    down: figure(down, 'megabytesPerSecond'),
    up: figure(up, 'megabytesPerSecond'),
    echo: figure(echo, 'perSecond'),
    connect: figure(connect, 'perSecond'),
  }
}

class NetworkBench implements AsyncDisposable {
  readonly #host = new TestHost()
  readonly #children: ChildProcess[] = []
  #program = ''
  #port = ''
  #enclave: DescribedEnclave | undefined

  static async start(): Promise<NetworkBench> {
    const bench = new NetworkBench()
    bench.#program = await guestProgram('net-load')
    const server = bench.#spawn(bench.#program, 'serve')
    const [port] = (await once(server.stdout ?? server, 'data')) as [Buffer]
    bench.#port = port.toString('latin1').trim()
    await bench.#startEnclave(await bench.#build())
    await bench.#startPeers()
    return bench
  }

  async #build(): Promise<string> {
    const root = join(this.#host.directory, 'root')
    makeHostTree(root, { programs: ['bash', 'socat'] })
    cpSync(this.#program, join(root, 'usr/bin/net-load'))
    addShell(root)
    const manifest = join(this.#host.directory, 'cloister.yaml')
    const rule = `{ host: host.cloister.internal, ports: [${this.#port}], private: true }`
    writeFileSync(
      manifest,
      `{ cloister: 1, name: bench, version: '1', source: { rootfs: root }, run: { entrypoint: [/serve-shell] },
         egress: { allow: [${rule}] } }\n`,
    )
    const eif = join(this.#host.directory, 'bench.eif')
    await this.#host.json('build-enclave', '--manifest', manifest, '--output-file', eif)
    return eif
  }

  async #startEnclave(eif: string): Promise<void> {
    const ports = ['--guest-ports', '5005', '--parent-ports', String(SOCAT_PORT)]
    const words = ['--eif-path', eif, '--memory', '512', '--cpu-count', '1', ...ports]
    const { EnclaveID } = await this.#host.json<{ readonly EnclaveID: string }>(
      'run-enclave',
      ...words,
    )
    this.#enclave = await this.#host.describe(EnclaveID)
  }

  async #startPeers(): Promise<void> {
    const socket = this.#enclave?.VsockSocket ?? ''
    const listen = `UNIX-LISTEN:${socket}_${SOCAT_PORT},fork,reuseaddr,mode=666,backlog=128`
    this.#spawn('socat', '-b', String(SOCAT_BYTES), listen, `TCP:127.0.0.1:${this.#port},nodelay`)
    const relay = `TCP-LISTEN:${SOCAT_PORT},fork,reuseaddr,nodelay,backlog=128 VSOCK-CONNECT:3:${SOCAT_PORT}`
    await this.#guest(`socat -b ${SOCAT_BYTES} ${relay} > /dev/null 2>&1 &`)
  }

  /** Where the same server is for each of them. */
  runner(peer: Peer): Run {
    const inside =
      (address: string): Run =>
      async (command = '', ...words) =>
        parse(await this.#guest(`net-load ${command} ${address} ${words.join(' ')}`))
    if (peer === 'ours') return inside(`198.18.0.1:${this.#port}`)
    if (peer === 'socat') return inside(`127.0.0.1:${SOCAT_PORT}`)
    return (command = '', ...words) =>
      Promise.resolve(
        parse(
          execFileSync(this.#program, [command, `127.0.0.1:${this.#port}`, ...words], {
            encoding: 'utf8',
          }),
        ),
      )
  }

  /** Of the network card. */
  residentMib(): number {
    const pid = this.#enclave?.Processes['network card']
    const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kib) / 1024
  }

  #guest(script: string): Promise<string> {
    return inGuest(this.#enclave?.VsockSocket ?? '', script)
  }

  #spawn(program: string, ...words: readonly string[]): ChildProcess {
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#children.push(child)
    return child
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill()
    await this.#host[Symbol.asyncDispose]()
  }
}

function parse(text: string): Readonly<Record<string, number>> {
  return JSON.parse(text) as Readonly<Record<string, number>>
}
