// Ways from a network namespace to a server outside, over a Unix socket in place of vsock, without a guest: netd and the
// network card, socat, and gvisor-tap-vsock. Each has a namespace of its own. Making them takes root.

import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startNetworkCard } from '../src/network/index.ts'
import type { Lifetime } from '../src/subprocess/index.ts'
import { until } from '../test/fixtures/until.ts'
import { withDescendants } from './process-use.ts'

const repository = resolve(import.meta.dirname, '..')
const program = (name: string): string => join(repository, 'build/bin', name)
const SOCAT_PORT = 8000
/** Its own default, 8 KiB, would be its brake. */
export const SOCAT_BYTES = '262144'
/** As large as gvisor-tap-vsock's switch takes; its own default, 1500, would be its brake. */
export const GVISOR_MTU = '65520'
/** Of gvisor-tap-vsock: the host's loopback, as its guest sees it. */
export const GVISOR_HOST = '192.168.127.254'

/** Makes the device of a guest of gvisor-tap-vsock. */
export const GVISOR_DEVICE = `ip tuntap add tap0 mode tap
  ip link set tap0 address 5a:94:ef:e4:0c:ee mtu ${GVISOR_MTU} up
  ip address add 192.168.127.2/24 dev tap0`

/** One way, ready. */
export interface Peer {
  /** Where the server is, for programs in the namespace. */
  readonly address: string
  /** What to put before a command that is to run there. */
  readonly prefix: readonly string[]
  /** All processes on the way. */
  readonly pids: () => readonly number[]
}

/** Starts the ways to a port of the host's loopback; all end with the lifetime. */
export class NetworkPeers {
  readonly #directory: string
  readonly #port: string
  readonly #lifetime: Lifetime

  constructor(directory: string, port: string, lifetime: Lifetime) {
    this.#directory = directory
    this.#port = port
    this.#lifetime = lifetime
  }

  loopback(): Peer {
    return { address: `127.0.0.1:${this.#port}`, prefix: [], pids: () => [] }
  }

  /** The tests of netd have a program that makes the namespace, with netd at its device. */
  async ours(): Promise<Peer> {
    const rule = { host: 'host.cloister.internal', ports: [Number(this.#port)], private: true }
    const policy = { allow: [rule], deny: [] }
    const directory = join(this.#directory, 'card')
    mkdirSync(directory)
    const path = join(this.#directory, 'card.sock')
    const card = await this.#lifetime.own(
      await startNetworkCard({
        ...{ program: program('cloister-network'), directory, confinement: {} },
        ...{ guestSocket: { path }, image: policy, resolvers: [], published: [] },
      }),
    )
    const netd = this.#spawn(
      ...[await netdProgram(), '--inside-exec', path, JSON.stringify(policy)],
      ...['sleep', 'infinity'],
    )
    await sleep(500)
    return {
      address: `198.18.0.1:${this.#port}`,
      prefix: inNamespaceOf(netd),
      pids: () => withDescendants([card.process.pid, pidOf(netd)]),
    }
  }

  async socat(): Promise<Peer> {
    const namespace = await this.#namespace('ip link set lo up')
    const path = join(this.#directory, 'socat.sock')
    const socat = ['socat', '-b', SOCAT_BYTES]
    const server = `TCP:127.0.0.1:${this.#port},nodelay`
    const outside = this.#spawn(...socat, `UNIX-LISTEN:${path},fork,backlog=128`, server)
    const listen = `TCP-LISTEN:${String(SOCAT_PORT)},fork,reuseaddr,nodelay,backlog=128`
    const inside = this.#spawn(...namespace, ...socat, listen, `UNIX-CONNECT:${path}`)
    await sleep(500)
    return {
      address: `127.0.0.1:${String(SOCAT_PORT)}`,
      prefix: namespace,
      pids: () => withDescendants([pidOf(outside), pidOf(inside)]),
    }
  }

  async gvisor(): Promise<Peer> {
    const namespace = await this.#namespace(
      `${GVISOR_DEVICE}\nip route add default via 192.168.127.1`,
    )
    const path = join(this.#directory, 'gvisor.sock')
    const listen = ['-listen', `unix://${path}`, '-mtu', GVISOR_MTU, '-ssh-port', '-1']
    const outside = this.#spawn(program('gvproxy'), ...listen)
    await until(`${path} is there`, () => existsSync(path))
    const forward = ['-preexisting', '-url', `unix://${path}`, '-mtu', GVISOR_MTU]
    const inside = this.#spawn(...namespace, program('gvforwarder'), ...forward)
    await sleep(1000)
    return {
      address: `${GVISOR_HOST}:${this.#port}`,
      prefix: namespace,
      pids: () => withDescendants([pidOf(outside), pidOf(inside)]),
    }
  }

  async #namespace(setup: string): Promise<readonly string[]> {
    const child = this.#spawn('unshare', '--net', 'sleep', 'infinity')
    await sleep(200)
    const prefix = inNamespaceOf(child)
    execFileSync('env', [...prefix, 'sh', '-ec', setup])
    return prefix
  }

  #spawn(...command: readonly string[]): ChildProcess {
    const [first = '', ...words] = command
    const child = spawn(first, words, { stdio: ['ignore', 'ignore', 'inherit'] })
    void this.#lifetime.own({
      [Symbol.asyncDispose]() {
        for (const pid of withDescendants([pidOf(child)])) killProcess(pid)
        return Promise.resolve()
      },
    })
    return child
  }
}

/** It may have ended by itself. */
function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('the process has not started')
  return pid
}

function inNamespaceOf(child: ChildProcess): readonly string[] {
  return ['nsenter', `--net=/proc/${String(pidOf(child))}/ns/net`]
}

/** With the optimisation that the guest's netd has. */
async function netdProgram(): Promise<string> {
  const words = ['--package', 'cloister-netd', '--test', 'namespace', '--no-run']
  const { stdout } = await promisify(execFile)(
    'cargo',
    ['test', '--quiet', '--locked', '--release', ...words, '--message-format', 'json'],
    { cwd: repository, maxBuffer: 2 ** 26 },
  )
  const [, path = ''] = /"executable":"([^"]*namespace-[^"]*)"/.exec(stdout) ?? []
  return path
}
