// The vsock card beside the stock back end (vhost-device-vsock 0.3.0): the same guest, the same
// programs, in turns within one run. The floor is a unix socket between two host processes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Guest, VsockBackEnd, type BackEnd } from '../test/fixtures/vsock-card/vsock-card-guest.ts'
import { dialGuest } from '../test/fixtures/vsock-card/vsock-card-host.ts'
import type { BenchRow } from './row.ts'

const rounds = 3
const streamBytes = 128 * 1024 * 1024
const echoes = 4000
const latencyPasses = 3
const warmUpEchoes = 500
const echoBytes = 64
const [sinkPort, discardPort, echoPort] = [7000, 5000, 5001] as const
const stallMs = 8_000
const gibibyte = 2 ** 30

const metrics = {
  toHost: 'guest to host, MB/s (at least 2x)',
  toGuest: 'host to guest, MB/s (at least 2x)',
  both: 'both ways at once, MB/s in all (at least 2x)',
  p50: '64-byte echo, p50 ms (at most 0.8x)',
  p99: '64-byte echo, p99 ms (at most 0.6x)',
  cpu: 'CPU seconds per GiB',
  idle: 'resident MiB when idle (ours under 8)',
} as const

type Metric = keyof typeof metrics
type Sample = Partial<Record<Metric, number>>

/** Measures every claim; prints and returns the rows. */
export async function run(): Promise<readonly BenchRow[]> {
  const ours: Sample[] = []
  const stock: Sample[] = []
  for (let round = 0; round < rounds; round++) {
    ours.push(await measureGuest('card'))
    stock.push(await measureGuest('stock'))
  }
  const floor = await measureFloor()
  process.stdout.write(`${JSON.stringify({ ours, stock, floor })}\n`)
  const rows = (Object.keys(metrics) as Metric[]).flatMap((metric) => [
    row(metrics[metric], median(ours, metric), 'vhost-device-vsock', median(stock, metric)),
    ...(floor[metric] === undefined
      ? []
      : [row(metrics[metric], median(ours, metric), 'unix socket', floor[metric])]),
  ])
  for (const { claim, ours, peer, ratio } of rows) {
    process.stdout.write(`${claim}: ${ours}, ${peer}, ratio ${ratio.toFixed(2)}\n`)
  }
  return rows
}

function row(claim: string, ours: number, peer: string, theirs: number): BenchRow {
  const figure = Number.isNaN(theirs) ? 'stalled in every round' : theirs.toFixed(2)
  return { claim, ours: ours.toFixed(2), peer: `${peer} ${figure}`, ratio: ours / theirs }
}

function median(samples: readonly Sample[], metric: Metric): number {
  const sorted = samples
    .map((sample) => sample[metric] ?? Number.NaN)
    .filter((value) => !Number.isNaN(value))
    .sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

export async function measureGuest(kind: BackEnd): Promise<Sample> {
  const ports = ['--parent-ports', 'all', '--guest-ports', 'all']
  await using backEnd = new VsockBackEnd(kind, kind === 'card' ? ports : [])
  await using guest = await Guest.start(backEnd)
  await guest.command('listen-discard', discardPort, streamBytes)
  await guest.command('listen-echo', echoPort)
  const idle = backEnd.residentBytes() / 2 ** 20
  const latency = await steadyLatency(() => dialGuest(backEnd.socket, echoPort))
  const before = backEnd.cpuSeconds()
  const toHost = await unlessStalled(measureToHost(backEnd, guest, sinkPort))
  const toGuest = await unlessStalled(measureToGuest(await dialGuest(backEnd.socket, discardPort)))
  const both = await unlessStalled(measureBoth(backEnd, guest))
  const cpu = (backEnd.cpuSeconds() - before) / ((4 * streamBytes) / gibibyte)
  return { ...latency, toHost, toGuest, both, cpu, idle }
}

async function measureToHost(backEnd: VsockBackEnd, guest: Guest, port: number): Promise<number> {
  const seconds = new Promise<number>((fulfil) => {
    void backEnd.listen(port, (socket) => {
      const start = performance.now()
      // Counted, as the stock back end does not pass the guest's end on.
      void receive(socket.resume(), streamBytes).then(() => {
        fulfil((performance.now() - start) / 1000)
        socket.end()
      })
    })
  })
  // The host has counted; how the stream ends is the back end's affair.
  guest.command('send', 2, port, streamBytes, 262_144).catch(() => undefined)
  return streamBytes / 1e6 / (await seconds)
}

async function measureToGuest(socket: Socket): Promise<number> {
  const start = performance.now()
  const answered = once(socket.resume(), 'data')
  await writeZeros(socket)
  await answered
  socket.destroy()
  return streamBytes / 1e3 / (performance.now() - start)
}

/** NaN when the streams stall, as those of the stock back end do at times. */
function unlessStalled(measuring: Promise<number>): Promise<number> {
  measuring.catch(() => undefined) // of a machine that is ended meanwhile
  const stalled = new Promise<number>((fulfil) => setTimeout(fulfil, stallMs, Number.NaN).unref())
  return Promise.race([measuring, stalled])
}

/** Two streams at once, one each way; their sum. */
async function measureBoth(backEnd: VsockBackEnd, guest: Guest): Promise<number> {
  const start = performance.now()
  const toGuest = measureToGuest(await dialGuest(backEnd.socket, discardPort))
  await Promise.all([toGuest, measureToHost(backEnd, guest, sinkPort + 1)])
  return (2 * streamBytes) / 1e3 / (performance.now() - start)
}

/** Leaves the stream open: half-closed, those of the stock back end lose bytes. */
async function writeZeros(socket: Socket): Promise<void> {
  const chunk = Buffer.alloc(262_144)
  for (let sent = 0; sent < streamBytes; sent += chunk.length) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
}

/** The medians of several passes, as one pass of a busy host says little about its tail. */
async function steadyLatency(dial: () => Promise<Socket>): Promise<Sample> {
  const passes: Sample[] = []
  for (let pass = 0; pass < latencyPasses; pass++) passes.push(await echoLatency(await dial()))
  return { p50: median(passes, 'p50'), p99: median(passes, 'p99') }
}

/** Milliseconds for a message there and back. */
async function echoLatency(socket: Socket): Promise<{ p50: number; p99: number }> {
  const message = Buffer.alloc(echoBytes, 7)
  const times: number[] = []
  socket.resume()
  for (let index = 0; index < warmUpEchoes + echoes; index++) {
    const start = performance.now()
    socket.write(message)
    await receive(socket, echoBytes)
    if (index >= warmUpEchoes) times.push(performance.now() - start)
  }
  socket.destroy()
  times.sort((a, b) => a - b)
  return { p50: times[echoes / 2] ?? Number.NaN, p99: times[echoes * 0.99] ?? Number.NaN }
}

function receive(socket: Socket, bytes: number): Promise<void> {
  return new Promise((fulfil) => {
    let received = 0
    const onData = (chunk: Buffer) => {
      received += chunk.length
      if (received < bytes) return
      socket.off('data', onData)
      fulfil()
    }
    socket.on('data', onData)
  })
}

const floorServer = `let received = 0
  const [echo, discard, bytes] = process.argv.slice(1)
  require('net').createServer((socket) => socket.pipe(socket)).listen(echo)
  require('net').createServer((socket) => socket.on('data', (chunk) => {
    received += chunk.length
    if (received === Number(bytes)) socket.write('x')
  })).listen(discard)`

/** The same clients against another host process. */
async function measureFloor(): Promise<Sample> {
  const directory = mkdtempSync(join(tmpdir(), 'vsock-floor-'))
  const [echo, discard] = [join(directory, 'echo'), join(directory, 'discard')] as const
  const argv = ['-e', floorServer, echo, discard, String(streamBytes)]
  const server = spawn(process.execPath, argv, { stdio: 'ignore' })
  try {
    while (!existsSync(discard)) await new Promise((fulfil) => setTimeout(fulfil, 10))
    const latency = await steadyLatency(() => Promise.resolve(connect(echo)))
    const toGuest = await measureToGuest(connect({ path: discard, allowHalfOpen: true }))
    return { ...latency, toGuest }
  } finally {
    server.kill()
    rmSync(directory, { recursive: true, force: true })
  }
}
