// A port of the parent as one enclave sees it, joined to a server: AWS's vsock-proxy for one guest.

import { vsockSocketPath, type AliveRecord } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import { Relays, type Traffic } from '../vsock/index.ts'
import { allowedAddresses, type AllowedServer } from './allowlist.ts'
import { connectServer } from './connect-server.ts'
import type { Resolver } from './resolver.ts'
import type { Target } from './target.ts'
import { explainClash } from './who-serves.ts'

/** Every user's: the card is a user of its own. The directories above let in nobody else. */
const FOR_THE_CARD = 0o666
/** Connections that wait for their turn; more are closed. */
const MAX_WAITING = 256

export type FailureReason = 'resolve' | 'denied' | 'connect' | 'limit'

const reasons: Readonly<Record<string, FailureReason>> = {
  ERR_PROXY_RESOLVE: 'resolve',
  ERR_PROXY_DENIED: 'denied',
  ERR_VSOCK_FORWARD: 'limit',
}

export interface ServedPortOptions {
  readonly target: Target
  /** The enclave's directory. */
  readonly directory: string
  readonly record: AliveRecord
  /** What is allowed at the moment. */
  readonly allowlist: () => readonly AllowedServer[] | undefined
  readonly resolver: Resolver
  readonly onFailure: (error: unknown, port: ServedPort) => void
}

/** What has gone through a port, and what has not. */
export interface PortStatistics extends Traffic {
  readonly failures: Readonly<Record<FailureReason, number>>
}

/** Serves until it is disposed of. */
export class ServedPort implements AsyncDisposable {
  readonly target: Target
  readonly record: AliveRecord
  readonly #relays: Relays
  readonly #failures = { resolve: 0, denied: 0, connect: 0, limit: 0 }

  private constructor(options: ServedPortOptions) {
    const { target, resolver, allowlist, onFailure } = options
    this.target = target
    this.record = options.record
    this.#relays = new Relays({
      connect: async () => {
        const addresses = await allowedAddresses(target, allowlist(), resolver)
        return connectServer(target, addresses)
      },
      onFailure: (error) => {
        const code = error instanceof CloisterError ? error.code : ''
        this.#failures[reasons[code] ?? 'connect']++
        onFailure(error, this)
      },
      maxConnections: target.maxConnections,
      maxWaiting: MAX_WAITING,
      limitHint: 'Close some of them, or raise --num_workers (num_workers in the file).',
    })
  }

  /** @throws `ERR_VSOCK_LISTEN` also when another program serves the port for this enclave. */
  static async open(options: ServedPortOptions): Promise<ServedPort> {
    const { directory, target, record } = options
    const path = `${vsockSocketPath(directory)}_${String(target.localPort)}`
    const port = new ServedPort(options)
    try {
      await port.#relays.listen({ path }, FOR_THE_CARD)
      return port
    } catch (error) {
      throw explainClash(error, { path, localPort: target.localPort, record })
    }
  }

  get statistics(): PortStatistics {
    return { ...this.#relays.traffic, failures: { ...this.#failures } }
  }

  /** Connections that are open are cut off. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#relays.resetAll()
    await this.#relays[Symbol.asyncDispose]()
  }
}
