// A key broker in a process of its own on the first processor, and clients on the others: requests that are signed once
// and sent again and again, so that the client costs next to nothing.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { availableParallelism } from 'node:os'
import type { SignedRequest } from '../src/kms/auth/sigv4.ts'

/** How fast a server answers. */
export interface Rate {
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

/** Clients at a time: those that wait for the disk share a commit. A peer has as many. */
export const CONNECTIONS = 32
/** A server runs for days: what it compiles in its first seconds does not count, nor does a peer's. */
const WARM_UP = 2000
/** A server may close a connection just when it is used again. */
const TRIES = 3

/** Starts a program on one processor of its own, where there are two. */
export function onFirstProcessor(
  command: readonly string[],
  errors: 'inherit' | 'ignore' = 'inherit',
): ChildProcess {
  const pinned = availableParallelism() > 1 ? ['taskset', '-c', '0', ...command] : command
  const [program = '', ...args] = pinned
  return spawn(program, args, { stdio: ['ignore', 'pipe', errors] })
}

export async function stop(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
}

export function textOf({ perSecond, p50, p99 }: Rate): string {
  return `${perSecond.toFixed(0)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
}

/** Sends `count` requests, these in turn, over a few connections; throws unless each is answered with 200. */
export async function rateOf(
  endpoint: string,
  requests: readonly SignedRequest[],
  count: number,
  keepAlive = true,
): Promise<Rate> {
  const agent = new Agent({ keepAlive, maxSockets: CONNECTIONS })
  const times: number[] = []
  let turn = 0
  const send = async (signed = requests[turn++ % requests.length]): Promise<void> => {
    if (signed === undefined) throw new Error('there is no request')
    const begin = performance.now()
    const status = await answeredAtLast(endpoint, signed, agent)
    times.push(performance.now() - begin)
    if (status !== 200) throw new Error(`${signed.url} was answered with ${String(status)}`)
  }
  try {
    const all = async (total: number, one: () => Promise<void>): Promise<void> => {
      let left = total
      const client = async (): Promise<void> => {
        while (left-- > 0) await one()
      }
      await Promise.all(Array.from({ length: CONNECTIONS }, client))
    }
    await all(WARM_UP, () => send(requests[0]))
    times.length = 0
    const begin = performance.now()
    await all(count, () => send())
    const perSecond = (count * 1000) / (performance.now() - begin)
    const sorted = times.toSorted((a, b) => a - b)
    const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? Number.NaN
    return { perSecond, p50: at(0.5), p99: at(0.99) }
  } finally {
    agent.destroy()
  }
}

async function answeredAtLast(
  endpoint: string,
  signed: SignedRequest,
  agent: Agent,
): Promise<number> {
  for (let tries = 1; ; tries++) {
    try {
      return await answered(endpoint, signed, agent)
    } catch (error) {
      const isReset = (error as NodeJS.ErrnoException).code === 'ECONNRESET'
      if (!isReset || tries === TRIES) throw error
    }
  }
}

function answered(endpoint: string, signed: SignedRequest, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const { method, url, rawHeaders, body } = signed
    const options = { method, agent, headers: rawHeaders, setHost: false }
    const sent = request(`${endpoint}${url}`, options, (response) => {
      response.resume().on('end', () => {
        resolve(response.statusCode ?? 0)
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
