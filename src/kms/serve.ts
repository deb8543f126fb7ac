// Starts a broker from what an operator gives: a store, its master key, the principals, the roots.

import { isIP } from 'node:net'
import { check } from '../errors.ts'
import { readCredentials } from './auth/credentials-file.ts'
import { answerRequest } from './broker.ts'
import { KmsServer } from './http/server.ts'
import { readTlsIdentity, type TlsFiles } from './http/tls.ts'
import { RecipientVerifier } from './recipient/recipient.ts'
import type { MasterKeySource } from './store/master-key.ts'
import { Store } from './store/store.ts'
import { Throttle } from './throttle.ts'
import { Upkeep } from './upkeep.ts'

export interface BrokerOptions {
  /** A directory of its own; made when it is missing. */
  readonly store: string
  readonly masterKey: MasterKeySource
  /** The file of principals. */
  readonly credentials: string
  /** DER certificates of the roots whose documents count; may be empty. */
  readonly roots: readonly Uint8Array[]
  readonly maxDocumentAgeMs: number
  readonly region: string
  /** Twelve digits: the account of the keys' ARNs. */
  readonly account: string
  /** An address of the loopback interface, or any with TLS. */
  readonly host: string
  readonly tls?: TlsFiles
  /** 0 for any. */
  readonly port: number
  /** Of one principal; no bound unless it is given. */
  readonly requestsPerSecond?: number
  /** Gets faults of the broker itself. */
  readonly report: (fault: unknown) => void
  /** The clock, in milliseconds since the epoch; the system's unless it is given. */
  readonly now?: () => number
}

/** A broker that answers. */
export interface Broker extends AsyncDisposable {
  readonly endpoint: string
  /** Closes the store at once, for the end of the process: its write-ahead log goes into its file. */
  closeStore(): void
}

/**
 * A store that is new is removed again when the broker does not start.
 * @throws ERR_KMS_STORE, ERR_KMS_MASTER_KEY, ERR_KMS_CREDENTIALS, ERR_KMS_LISTEN, ERR_KMS_TLS;
 * AttestationError when a root is malformed
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { region, account, host, port, report } = options
  checkHost(host, options.tls !== undefined)
  const { roots, maxDocumentAgeMs: maxAgeMs } = options
  const recipients = new RecipientVerifier({ roots, maxAgeMs })
  const credentials = readCredentials(options.credentials)
  const now = options.now ?? Date.now
  const tls = options.tls === undefined ? null : readTlsIdentity(options.tls, now())
  const store = Store.open(options.store, options.masterKey)
  const place = { region, account }
  let upkeep: Upkeep | undefined
  const close = (): void => {
    upkeep?.[Symbol.dispose]()
    store[Symbol.dispose]()
  }
  try {
    upkeep = new Upkeep({ store, place, now, report })
    const throttle = new Throttle(options.requestsPerSecond ?? Infinity)
    const parts = { store, credentials, recipients, place, now, upkeep, throttle }
    const server = await KmsServer.listen(
      { host, port, tls },
      { dispatch: (request) => answerRequest(request, parts), report, now },
    )
    return {
      endpoint: server.endpoint,
      closeStore: close,
      async [Symbol.asyncDispose]() {
        await server[Symbol.asyncDispose]()
        close()
      },
    }
  } catch (error) {
    upkeep?.[Symbol.dispose]()
    store.abandon()
    throw error
  }
}

/** Answers with keys in plain text must not leave this host in the clear. */
function checkHost(host: string, isSecure: boolean): void {
  check(isIP(host) !== 0, 'ERR_KMS_LISTEN', `${host} is not an IP address`)
  const isLoopback = host === '::1' || host.startsWith('127.')
  check(isLoopback || isSecure, 'ERR_KMS_LISTEN', `${host} is not a loopback address`, {
    hint: 'Give --tls-cert and --tls-key: without TLS, answers with plaintext keys must not leave this host.',
  })
}
