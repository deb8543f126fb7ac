// The servers that were attested, by origin: each is attested once for all callers that wait, and
// its idle connections are closed as soon as the pool lets go of it.

import type { Agent } from 'node:https'
import type { Attestation } from '@cloister/attestation'
import { retireAgent } from './pinned-agent.ts'

/** A server whose key was bound in a verified document. */
export interface AttestedServer {
  readonly attestation: Attestation
  /** Connects to that key only. */
  readonly agent: Agent
  /** When it must be attested again: milliseconds since the epoch. */
  readonly untilMs: number
}

const MAX_SERVERS = 256

/** Attests servers and remembers them while their attestation counts. */
export class ServerPool {
  readonly #attest: (url: URL) => Promise<AttestedServer>
  readonly #servers = new Map<string, Promise<AttestedServer>>()

  constructor(attest: (url: URL) => Promise<AttestedServer>) {
    this.#attest = attest
  }

  /** The server of a URL, attested now or recently; a failure is not remembered. */
  async get(url: URL): Promise<AttestedServer> {
    const before = this.#servers.get(url.origin)
    const known = await before
    if (known && Date.now() < known.untilMs) return known
    const since = this.#servers.get(url.origin)
    return since !== undefined && since !== before ? since : this.#add(url)
  }

  /** Forgets a server, unless it was replaced already. */
  async forget(url: URL, server: AttestedServer): Promise<void> {
    const current = this.#servers.get(url.origin)
    if ((await current) === server) this.#drop(url.origin, current)
  }

  /** Forgets all servers. Requests under way are finished. */
  clear(): void {
    for (const [origin, server] of this.#servers) this.#drop(origin, server)
  }

  /** The oldest server goes when there are many. */
  #add(url: URL): Promise<AttestedServer> {
    const added = this.#attest(url)
    this.#drop(url.origin, this.#servers.get(url.origin))
    this.#servers.set(url.origin, added)
    const [oldest] = this.#servers
    if (oldest && this.#servers.size > MAX_SERVERS) this.#drop(...oldest)
    added.catch(() => {
      this.#drop(url.origin, added)
    })
    return added
  }

  #drop(origin: string, server: Promise<AttestedServer> | undefined): void {
    if (server === undefined) return
    if (this.#servers.get(origin) === server) this.#servers.delete(origin)
    server.then(
      ({ agent }) => {
        retireAgent(agent)
      },
      () => undefined,
    )
  }
}
