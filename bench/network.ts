// The network of an enclave beside what people use for the same: gvisor-tap-vsock, which is a network stack for virtual
// machines, and socat, which needs a port for each destination and knows no rules. The floor is the host's loopback.
// First natively (network-native.ts), then in a guest beside socat over the same vsock.

import { execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'
import { Lifetime } from '../src/subprocess/index.ts'
import { guestProgram } from '../test/fixtures/guest-program.ts'
import { LoadHost, type Load, type LoadedEnclave } from '../test/fixtures/network/loaded-enclave.ts'
import { compare, measure, type RunLoad } from './network-load.ts'
import { run as runNatively } from './network-native.ts'
import { roundsOr, type BenchRow } from './row.ts'

const ROUNDS = 3
/** Of what is moved natively. */
const IN_GUEST = { share: 0.3 }
const SOCAT_PORT = 8000
/** Its own default, 8 KiB, would be its brake. */
const SOCAT_BYTES = '262144'

/** Measures every claim; prints and returns the rows. */
export async function run(): Promise<readonly BenchRow[]> {
  await using host = await LoadHost.start()
  return [...(await runNatively(host)), ...(await runInGuest(host))]
}

async function runInGuest(host: LoadHost): Promise<readonly BenchRow[]> {
  await using lifetime = new Lifetime()
  const enclave = await host.run('--parent-ports', String(SOCAT_PORT))
  await startSocat(host, enclave, lifetime)
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
  const child = spawn('socat', words, { stdio: 'ignore' })
  await lifetime.own({
    [Symbol.asyncDispose]() {
      child.kill()
      return Promise.resolve()
    },
  })
  const relay = `TCP-LISTEN:${String(SOCAT_PORT)},fork,reuseaddr,nodelay,backlog=128 VSOCK-CONNECT:3:${String(SOCAT_PORT)}`
  await enclave.guest(`socat -b ${SOCAT_BYTES} ${relay} > /dev/null 2>&1 &`)
}

async function runHere(program: string, words: readonly string[]): Promise<Load> {
  const { stdout } = await promisify(execFile)(program, words)
  return JSON.parse(stdout) as Load
}
