// Starts a broker from what an operator gives: a store, its master key, the principals, the roots.

import { isIP } from 'node:net'
import { check } from '../errors.ts'
import { readCredentials, type Credentials } from './auth/credentials-file.ts'
import { answerRequest, type BrokerParts } from './broker.ts'
import { ClockWatch } from './clock-watch.ts'
import { KmsConsole, type ConsoleOptions } from './console.ts'
import { KmsServer, type Handlers } from './http/server.ts'
import { readTlsIdentity, type TlsFiles, type TlsIdentity } from './http/tls.ts'
import { openStore, type MasterKeySource, type OpenStore } from './open-store.ts'
import { RecipientVerifier } from './recipient/recipient.ts'
import { rootDigest } from './recipient/root-digest.ts'
import type { Store } from './store/store.ts'
import { Throttle } from './throttle.ts'
import { Upkeep } from './upkeep.ts'

/** Refusals of requests that are not served. */
const SIGNED_UNSERVED_PER_SECOND = 20

export interface BrokerOptions {
  /** A directory of its own; made when it is missing. */
  readonly store: string
  readonly masterKey: MasterKeySource
  /** The file of principals. */
  readonly credentials: string
  /** DER certificates of the roots whose documents count; may be empty. */
  readonly roots: readonly Uint8Array[]
  /** Whether the store may have had others before. */
  readonly changesRoots?: boolean
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
  /** A page for people; none unless it is given. */
  readonly console?: ConsoleOptions
  /** Gets faults of the broker itself. */
  readonly report: (fault: unknown) => void
  /** The clock, in milliseconds since the epoch; the system's unless it is given. */
  readonly now?: () => number
}

/** A broker that answers. */
export interface Broker extends AsyncDisposable {
  readonly endpoint: string
  /** Where the console is, if it was asked for. */
  readonly console: string | null
  /** PEM of the public key whose private part signs responses. */
  readonly responseKey: string
  /** Closes the store at once, for the end of the process: its write-ahead log goes into its file. */
  closeStore(): void
}

/**
 * A store that is new is removed again when the broker does not start.
 * @throws ERR_KMS_STORE, ERR_KMS_MASTER_KEY, ERR_KMS_CREDENTIALS, ERR_KMS_ROOTS, ERR_KMS_LISTEN, ERR_KMS_TLS;
 * AttestationError when a root is malformed
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const given = readGiven(options)
  const { store, guard } = await openStore(options.store, options.masterKey, given.clock())
  try {
    store.keepRoots(given.roots, options.changesRoots === true)
    return await serveStore({ store, guard }, given, options)
  } catch (error) {
    store.abandon()
    throw error
  }
}

/** What is read before there is a store, and then served with it. */
interface Given {
  readonly clock: () => number
  readonly credentials: Credentials
  readonly recipients: RecipientVerifier
  readonly roots: readonly string[]
  readonly tls: TlsIdentity | null
}

function readGiven(options: BrokerOptions): Given {
  const { host, roots, maxDocumentAgeMs: maxAgeMs, tls, now: clock = Date.now } = options
  checkHost(host, tls !== undefined)
  return {
    clock,
    recipients: new RecipientVerifier({ roots, maxAgeMs }),
    roots: roots.map(rootDigest),
    credentials: readCredentials(options.credentials),
    tls: tls === undefined ? null : readTlsIdentity(tls, clock()),
  }
}

async function serveStore(
  { store, guard }: OpenStore,
  { clock, tls, ...trusted }: Given,
  options: BrokerOptions,
): Promise<Broker> {
  const { region, account, host, port, report } = options
  const watch = new ClockWatch(clock, store.audit.lastTime, report)
  const now = (): number => watch.now()
  const place = { region, account }
  const upkeep = new Upkeep({ store, guard, place, now, report })
  const throttle = new Throttle(options.requestsPerSecond ?? Infinity)
  const handlers = handlersOf({ ...trusted, store, place, now, upkeep, throttle }, report)
  try {
    const server = await KmsServer.listen({ host, port, tls }, handlers)
    const shown = { store, place, roots: trusted.roots, now, report }
    const page = await openConsole(server, options.console, shown)
    return brokerOf({ server, page, store, upkeep })
  } catch (error) {
    upkeep[Symbol.dispose]()
    throw error
  }
}

function handlersOf(parts: BrokerParts, report: BrokerOptions['report']): Handlers {
  const { store, now } = parts
  const unserved = new Throttle(SIGNED_UNSERVED_PER_SECOND)
  return {
    ...{ dispatch: (request) => answerRequest(request, parts), report, now },
    sign: (text) => store.responseKey.sign(text),
    signsUnserved: () => unserved.takes('', now()),
  }
}

interface BrokerServers {
  readonly server: KmsServer
  readonly page: KmsConsole | undefined
  readonly store: Store
  readonly upkeep: Upkeep
}

function brokerOf({ server, page, store, upkeep }: BrokerServers): Broker {
  const close = (): void => {
    upkeep[Symbol.dispose]()
    store[Symbol.dispose]()
  }
  return {
    endpoint: server.endpoint,
    console: page?.url ?? null,
    responseKey: store.responseKey.publicKey,
    closeStore: close,
    async [Symbol.asyncDispose]() {
      await page?.[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      close()
    },
  }
}

/** A broker whose console cannot be opened does not start. */
async function openConsole(
  server: KmsServer,
  options: ConsoleOptions | undefined,
  parts: Parameters<typeof KmsConsole.listen>[1],
): Promise<KmsConsole | undefined> {
  if (options === undefined) return undefined
  try {
    return await KmsConsole.listen(options, parts)
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

/** Answers with keys in plain text must not leave this host in the clear. */
function checkHost(host: string, isSecure: boolean): void {
  check(isIP(host) !== 0, 'ERR_KMS_LISTEN', `${host} is not an IP address`, {
    hint: 'Give --host an address such as 127.0.0.1 or ::1.',
  })
  const isLoopback = host === '::1' || host.startsWith('127.')
  check(isLoopback || isSecure, 'ERR_KMS_LISTEN', `${host} is not a loopback address`, {
    hint: 'Give --tls-cert and --tls-key: without TLS, answers with plaintext keys must not leave this host.',
  })
}
