// What is measured of a way through the network, and how it becomes rows: net-load of test/guests, against its server.

import type { Load } from '../test/fixtures/network/loaded-enclave.ts'
import { median, type BenchRow } from './row.ts'

const BYTES = 300_000_000
const ECHOES = 5000
/** Few: gvisor-tap-vsock drops opening segments, which are sent again after a second. */
const CONNECTIONS = 300
const GIB = 2 ** 30

/** Runs net-load with a command and its number, on one of the ways. */
export type RunLoad = (command: string, count: number) => Promise<Load>

/** Figures of one round, by metric; not every way has each. */
export type Sample = Readonly<Partial<Record<Metric, number>>>
export type Metric = keyof typeof METRICS

const METRICS = {
  down: 'TCP to the program, MB/s',
  up: 'TCP from the program, MB/s',
  echo: 'requests per second, keep-alive',
  echoP50: 'request, keep-alive, p50 in ms',
  echoP99: 'request, keep-alive, p99 in ms',
  connect: 'requests per second, each over a new connection',
  connectP50: 'request, new connection, p50 in ms',
  connectP99: 'request, new connection, p99 in ms',
  cpu: 'processor seconds per GiB',
  resident: 'memory with 50 readers that wait, MiB',
} as const

/** How much is moved in one direction, in units of a whole round. */
export interface Scale {
  /** 1 natively; a guest under emulation moves less. */
  readonly share: number
}

/** @param seconds - Of processor time on the way until now, where it can be told. */
export async function measure(
  run: RunLoad,
  { share }: Scale,
  seconds?: () => number,
): Promise<Sample> {
  const before = seconds?.()
  const bytes = BYTES * share
  const down = await run('down', bytes)
  const up = await run('up', bytes)
  const used = before === undefined ? undefined : (seconds?.() ?? 0) - before
  const echo = await run('echo', ECHOES * share)
  const connect = await run('connect', CONNECTIONS * share)
  return {
    ...figures({ down: down['megabytesPerSecond'], up: up['megabytesPerSecond'] }),
    ...figures({ echo: echo['perSecond'], echoP50: echo['p50Ms'], echoP99: echo['p99Ms'] }),
    ...figures({ connect: connect['perSecond'] }),
    ...figures({ connectP50: connect['p50Ms'], connectP99: connect['p99Ms'] }),
    ...figures({ cpu: used === undefined ? undefined : (used * GIB) / (2 * bytes) }),
  }
}

function figures(named: Readonly<Partial<Record<Metric, number | undefined>>>): Sample {
  return Object.fromEntries(Object.entries(named).filter(([, figure]) => figure !== undefined))
}

/** Samples all ways in turns; the rows of ours beside each other one. */
export async function compare(
  title: string,
  rounds: number,
  ways: Readonly<Record<string, () => Promise<Sample>>> & { readonly ours: () => Promise<Sample> },
): Promise<readonly BenchRow[]> {
  const samples: Record<string, Sample[]> = {}
  for (let round = 0; round < rounds; round++) {
    for (const [name, sample] of Object.entries(ways)) (samples[name] ??= []).push(await sample())
  }
  process.stdout.write(`${title}: ${JSON.stringify(samples)}\n`)
  const { ours = [], ...others } = samples
  return Object.entries(others).flatMap((other) => rowsOf(title, ours, other))
}

/** Rows for the metrics that both have. */
function rowsOf(
  title: string,
  ours: readonly Sample[],
  [peer, theirs]: readonly [string, readonly Sample[]],
): readonly BenchRow[] {
  return (Object.keys(METRICS) as Metric[]).flatMap((metric) => {
    const [our, their] = [ours, theirs].map((list) => medianOf(list, metric))
    if (our === undefined || their === undefined) return []
    return [
      {
        claim: `${title}: ${METRICS[metric]}`,
        ours: our.toFixed(3),
        peer: `${peer} ${their.toFixed(3)}`,
        ratio: our / their,
      },
    ]
  })
}

function medianOf(samples: readonly Sample[], metric: Metric): number | undefined {
  const known = samples.flatMap((sample) => sample[metric] ?? [])
  return known.length === 0 ? undefined : median(known)
}
