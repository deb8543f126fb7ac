// The network of an enclave beside what people use for the same: gvisor-tap-vsock, which is a network stack for virtual
// machines, and socat, which needs a port for each destination and knows no rules. The floor is the host's loopback.
// First natively (network-native.ts), then in a guest, over the same vsock.

import { execFile, spawn } from 'node:child_process'
import { chmodSync, existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Lifetime } from '../src/subprocess/index.ts'
import { guestProgram } from '../test/fixtures/guest-program.ts'
import { until } from '../test/fixtures/until.ts'
import { LoadHost, type Load, type LoadedEnclave } from '../test/fixtures/network/loaded-enclave.ts'
import { compare, measure, type RunLoad } from './network-load.ts'
import { run as runNatively } from './network-native.ts'
import { GVISOR_DEVICE, GVISOR_HOST, GVISOR_MTU, SOCAT_BYTES } from './network-peers.ts'
import { roundsOr, type BenchRow } from './row.ts'

const ROUNDS = 3
/** Of what is moved natively. */
const IN_GUEST = { share: 0.3 }
const built = (name: string): string => resolve(import.meta.dirname, '../build/bin', name)
const SOCAT_PORT = 8000
const GVISOR_PORT = 1024
/** Until its two programs have found each other. */
const GVISOR_MS = 3000

/** Measures every claim; prints and returns the rows. */
export async function run(): Promise<readonly BenchRow[]> {
  await using host = await LoadHost.start([built('gvforwarder')])
  return [...(await runNatively(host)), ...(await runInGuest(host))]
}

async function runInGuest(host: LoadHost): Promise<readonly BenchRow[]> {
  await using lifetime = new Lifetime()
  const enclave = await host.run('--parent-ports', `${String(SOCAT_PORT)},${String(GVISOR_PORT)}`)
  await startSocat(host, enclave, lifetime)
  await startGvisor(enclave, lifetime)
  const program = await guestProgram('net-load')
  const inGuest =
    (address?: string): RunLoad =>
    (command, count) =>
      enclave.load(command, count, address)
  const onHost: RunLoad = (command, count) =>
    runHere(program, [command, host.address, String(count)])
  return await compare('in a guest', roundsOr(ROUNDS), {
    ours: () => measure(inGuest(), IN_GUEST),
    socat: () => measure(inGuest(`127.0.0.1:${String(SOCAT_PORT)}`), IN_GUEST),
    'gvisor-tap-vsock': () => measure(inGuest(`${GVISOR_HOST}:${host.port}`), IN_GUEST),
    loopback: () => measure(onHost, IN_GUEST),
  })
}

async function startSocat(
  host: LoadHost,
  enclave: LoadedEnclave,
  lifetime: Lifetime,
): Promise<void> {
  const path = `${enclave.enclave.VsockSocket}_${String(SOCAT_PORT)}`
  const listen = `UNIX-LISTEN:${path},fork,reuseaddr,mode=666,backlog=128`
  const words = ['-b', SOCAT_BYTES, listen, `TCP:${host.address},nodelay`]
  await start(lifetime, 'socat', words)
  const relay = `TCP-LISTEN:${String(SOCAT_PORT)},fork,reuseaddr,nodelay,backlog=128 VSOCK-CONNECT:3:${String(SOCAT_PORT)}`
  await enclave.guest(`socat -b ${SOCAT_BYTES} ${relay} > /dev/null 2>&1 &`)
}

/** As root of the guest, beside netd: its device has a network of its own. */
async function startGvisor(enclave: LoadedEnclave, lifetime: Lifetime): Promise<void> {
  const path = `${enclave.enclave.VsockSocket}_${String(GVISOR_PORT)}`
  const listen = ['-listen', `unix://${path}`, '-mtu', GVISOR_MTU, '-ssh-port', '-1']
  await start(lifetime, built('gvproxy'), listen)
  await until('gvproxy listens', () => existsSync(path))
  chmodSync(path, 0o666)
  const url = `vsock://3:${String(GVISOR_PORT)}/connect`
  await enclave.guest(`${GVISOR_DEVICE}
    gvforwarder -preexisting -url ${url} -mtu ${GVISOR_MTU} > /dev/null 2>&1 &`)
  await sleep(GVISOR_MS)
}

async function start(lifetime: Lifetime, program: string, words: readonly string[]): Promise<void> {
  const child = spawn(program, words, { stdio: 'ignore' })
  await lifetime.own({
    [Symbol.asyncDispose]() {
      child.kill()
      return Promise.resolve()
    },
  })
}

async function runHere(program: string, words: readonly string[]): Promise<Load> {
  const { stdout } = await promisify(execFile)(program, words)
  return JSON.parse(stdout) as Load
}
