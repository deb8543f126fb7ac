// Addresses of servers, from the host's own resolver. Concurrent lookups of a name share one answer, which is cached for
// a moment. Of a name that was found before, the last answer serves while the resolver fails.

import { isIP, isIPv4 } from 'node:net'
import { CloisterError, reasonOf } from '../errors.ts'
import { normalizeAddress } from './host-name.ts'
import { LookupProcess, type Lookup } from './lookup-process.ts'
import type { AddressFamily } from './target.ts'

/** How long an answer is good for; a host's resolver keeps answers as long as their TTL says. */
const FRESH_MS = 1000
/** How long the last answer serves when there is no new one. */
const STALE_MS = 3_600_000
const TIMEOUT_MS = 10_000
/** More addresses of one name are left out. */
const MAX_ADDRESSES = 16

interface Answer {
  readonly addresses: readonly string[]
  readonly at: number
}

/** Resolves names; each question is asked once at a time. */
export class Resolver implements Disposable {
  readonly #host: Lookup
  readonly #answers = new Map<string, Answer>()
  readonly #asked = new Map<string, Promise<readonly string[]>>()

  constructor(host: Lookup = new LookupProcess()) {
    this.#host = host
  }

  /**
   * The addresses of a name, those of IPv4 first; an address is its own.
   *
   * @param host - As `normalizeHost` has it.
   * @throws `ERR_PROXY_RESOLVE` also when it has no address of this family.
   */
  async resolve(host: string, family: AddressFamily): Promise<readonly string[]> {
    const addresses = isIP(host) === 0 ? await this.#addressesOf(host) : [host]
    const wanted = addresses.filter((it) => family === 'any' || isIPv4(it) === (family === 'ipv4'))
    if (wanted.length > 0) return wanted
    const version = family === 'ipv4' ? 'IPv4' : 'IPv6'
    throw new CloisterError('ERR_PROXY_RESOLVE', `${host} has no ${version} address`, {
      details: { host, addresses },
      hint: `Leave out the option for ${version}, or name a server that has such an address.`,
    })
  }

  async #addressesOf(name: string): Promise<readonly string[]> {
    const last = this.#answers.get(name)
    const age = performance.now() - (last?.at ?? -Infinity)
    if (last !== undefined && age < FRESH_MS) return last.addresses
    try {
      return await this.#askOnce(name)
    } catch (cause) {
      if (last !== undefined && age < STALE_MS) return last.addresses
      const message = `the name ${name} was not found: ${reasonOf(cause)}`
      throw new CloisterError('ERR_PROXY_RESOLVE', message, { cause, details: { host: name } })
    }
  }

  #askOnce(name: string): Promise<readonly string[]> {
    const asked = this.#asked.get(name) ?? this.#ask(name)
    this.#asked.set(name, asked)
    return asked
  }

  async #ask(name: string): Promise<readonly string[]> {
    try {
      const addresses = await withinTime(this.#host.lookup(name))
      const found = addresses.map(normalizeAddress)
      const inOrder = found.toSorted((a, b) => Number(isIPv4(b)) - Number(isIPv4(a)))
      const answer = { addresses: inOrder.slice(0, MAX_ADDRESSES), at: performance.now() }
      this.#answers.set(name, answer)
      return answer.addresses
    } finally {
      this.#asked.delete(name)
    }
  }

  [Symbol.dispose](): void {
    this.#host[Symbol.dispose]()
  }
}

/** A lookup cannot be given up, but waiting for it can. */
async function withinTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    const late = new Error(`the resolver did not answer within ${String(TIMEOUT_MS / 1000)} s`)
    timer = setTimeout(reject, TIMEOUT_MS, late)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}
