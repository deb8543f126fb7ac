// netd and the network card without a guest, beside gvisor-tap-vsock, socat and the loopback, which is the floor. One
// client and one server, in turns.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Lifetime } from '../src/subprocess/index.ts'
import { guestProgram } from '../test/fixtures/guest-program.ts'
import type { Load, LoadHost } from '../test/fixtures/network/loaded-enclave.ts'
import { compare, measure, type RunLoad, type Sample } from './network-load.ts'
import { NetworkPeers, type Peer } from './network-peers.ts'
import { processorSeconds, residentMib } from './process-use.ts'
import { roundsOr, type BenchRow } from './row.ts'

const ROUNDS = 5
const WHOLE = { share: 1 }
const STALLED = 50
const SAMPLE_MS = 100

/**
 * Wanted: at least 2x of gvisor-tap-vsock in each (at most 0.5x in times, processor time and memory), and at least 0.8x of
 * socat's throughput.
 */
export async function run(host: LoadHost): Promise<readonly BenchRow[]> {
  await using lifetime = new Lifetime()
  const peers = new NetworkPeers(host.host.directory, host.port, lifetime)
  const program = await guestProgram('net-load')
  const sampled = (way: Peer) => () => sample(way, runner(program, way))
  return await compare('natively', roundsOr(ROUNDS), {
    ours: sampled(await peers.ours()),
    'gvisor-tap-vsock': sampled(await peers.gvisor()),
    socat: sampled(await peers.socat()),
    loopback: sampled(peers.loopback()),
  })
}

async function sample(way: Peer, run: RunLoad): Promise<Sample> {
  if (way.pids().length === 0) return measure(run, WHOLE)
  const measured = await measure(run, WHOLE, () => processorSeconds(way.pids()))
  let resident = 0
  const timer = setInterval(() => {
    resident = Math.max(resident, residentMib(way.pids()))
  }, SAMPLE_MS)
  await run('stall', STALLED)
  clearInterval(timer)
  return { ...measured, resident }
}

function runner(program: string, { prefix, address }: Peer): RunLoad {
  return async (command, count) => {
    const load = [program, command, address, String(count)]
    const { stdout } = await promisify(execFile)('env', [...prefix, ...load])
    return JSON.parse(stdout) as Load
  }
}
