// The network of one enclave: the network card where the measured manifest has egress or ports are published, started
// again when it ends by itself, and what its journal keeps of refused flows and clients.

import { chmodSync, linkSync, unwatchFile, watchFile } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { networkDirectory, vsockSocketPath } from '../../enclaves/index.ts'
import { messageOf } from '../../errors.ts'
import {
  bindSocket,
  describeNetworkRefusal,
  describePublication,
  RESOLV_CONF,
  startNetworkCard,
  systemResolvers,
  type NetworkCard,
  type NetworkCardOptions,
  type BoundSocket,
  type NetworkReport,
  type Publication,
  type TurnedAway,
} from '../../network/index.ts'
import { reservedPorts } from '../../vsock/index.ts'
import type { EgressPolicy } from '../../manifest/index.ts'
import type { NamedProcess } from '../end-cause.ts'
import type { Journal } from '../journal.ts'
import { prepareCard, type CardLaunch } from './card-directory.ts'

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 10_000
/** A card that has run for this long begins with the first delay again. */
const SETTLED_MS = 60_000
/** How often the host's resolvers are looked at. */
const RESOLVERS_INTERVAL_MS = 5000

/** The vsock card's socket, as the network card knows it. */
const VSOCK_SOCKET = 'vsock.sock'
/** Every user's: the network card is a user of its own. The directories above let in nobody else. */
const FOR_THE_CARD = 0o666

/** A running network; disposing of it ends its card. */
export class EnclaveNetwork implements AsyncDisposable {
  readonly #options: NetworkCardOptions
  readonly #journal: Journal
  #card: NetworkCard
  #tellOfRestart: () => void = () => undefined
  #isDisposed = false

  private constructor(options: NetworkCardOptions, card: NetworkCard, journal: Journal) {
    this.#options = options
    this.#journal = journal
    this.#card = card
  }

  /** @throws `ERR_PROCESS_SPAWN`, `ERR_NETWORK_CARD`, `ERR_HOST_DESCRIPTORS` */
  static async start(options: NetworkCardOptions, journal: Journal): Promise<EnclaveNetwork> {
    const network = new EnclaveNetwork(options, await startNetworkCard(options), journal)
    network.#adopt()
    void network.#keepRunning()
    return network
  }

  /** With the ports that they have. */
  get published(): readonly Publication[] {
    return this.#options.published.map(({ address, port, guestPort, protocol }) => ({
      ...{ address, port, guestPort, protocol },
    }))
  }

  /** The card that runs now, and its second process where ports are published. */
  get processes(): readonly NamedProcess[] {
    const { process: card, dialler } = this.#card
    return dialler === undefined ? [card] : [card, { ...dialler, name: 'network dialler' }]
  }

  /** Calls whenever another card runs. */
  whenRestarted(tell: () => void): void {
    this.#tellOfRestart = tell
  }

  /** @throws `ERR_NETWORK_CONTROL` when the card does not answer within a moment. */
  report(): Promise<NetworkReport> {
    return this.#card.channel.report()
  }

  /** Asks these resolvers from now on. */
  useResolvers(resolvers: readonly string[]): void {
    // A card that does not answer is started again with them.
    Object.assign(this.#options, { resolvers })
    this.#card.channel.setResolvers(resolvers).catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    await this.#card[Symbol.asyncDispose]()
  }

  #isClosing(): boolean {
    return this.#isDisposed
  }

  #adopt(): void {
    const { landlock, seccomp, privateRoot } = this.#card.sandbox
    const root = privateRoot ? 'a root of its own' : "the host's root"
    this.#journal.write(
      `the network card is confined: Landlock ${landlock}, seccomp ${seccomp ? 'on' : 'off'}, ${root}`,
    )
    this.#card.channel.onRefusal = (refusal) => {
      this.#journal.writeOfGuest(describeNetworkRefusal(refusal))
    }
    this.#card.channel.onTurnedAway = (client) => {
      this.#journal.writeOfGuest(describeTurnedAway(client))
    }
  }

  /** Flows of a card that ended are gone; new ones find the next card. */
  async #keepRunning(): Promise<void> {
    let delayMs = FIRST_DELAY_MS
    for (;;) {
      const startedAt = performance.now()
      const { code, signal: killer } = await this.#card.process.ended
      if (this.#isClosing()) return
      if (performance.now() - startedAt > SETTLED_MS) delayMs = FIRST_DELAY_MS
      const how = killer === null ? `ended with status ${String(code)}` : `was killed by ${killer}`
      this.#journal.write(`the network card ${how} and is started again`)
      do {
        await sleep(delayMs, undefined, { ref: false })
        delayMs = Math.min(2 * delayMs, MAX_DELAY_MS)
      } while (!(await this.#startAgain()))
      if (this.#isClosing()) return
    }
  }

  /** Whether there is no more to do: a card runs, or none is wanted. */
  async #startAgain(): Promise<boolean> {
    if (this.#isClosing()) return true
    try {
      const card = await startNetworkCard(this.#options)
      this.#card = card
      if (this.#isClosing()) await card[Symbol.asyncDispose]()
      else {
        this.#adopt()
        this.#tellOfRestart()
      }
      return true
    } catch (error) {
      this.#journal.write(`the network card did not start again: ${messageOf(error)}`)
      return false
    }
  }
}

/** Of an enclave without egress. */
const NOTHING: EgressPolicy = { allow: [], deny: [] }

/**
 * Starts the network of an enclave whose manifest has egress, or whose ports are published.
 *
 * @param socketPath - The enclave's vsock socket.
 * @throws `ERR_PROCESS_SPAWN`, `ERR_NETWORK_CARD`, `ERR_NETWORK_LISTEN`, `ERR_HOST_DESCRIPTORS`
 */
export async function startEnclaveNetwork(
  launch: CardLaunch & { readonly egress: EgressPolicy | undefined; readonly socketPath: string },
): Promise<EnclaveNetwork> {
  const { request, place, users, journal, lifetime, egress, socketPath } = launch
  const { programs, network = {} } = request
  const home = prepareCard(
    programs.networkCard,
    networkDirectory(place.directory),
    users.networkCard,
  )
  const path = `${socketPath}_${String(reservedPorts.network)}`
  const options = {
    ...home,
    guestSocket: { path, uid: users.vsockCard.uid },
    image: egress ?? NOTHING,
    host: network.egress,
    published: await publish(network.publications ?? [], launch, home.directory),
    resolvers: network.resolvers ?? systemResolvers(),
  }
  if (egress !== undefined && options.resolvers.length === 0)
    journal.write(`${RESOLV_CONF} names no resolver: names are not found; --dns names one`)
  const started = await lifetime.own(await EnclaveNetwork.start(options, journal))
  if (network.resolvers === undefined) await lifetime.own(followResolvers(started))
  return started
}

/** Binds the sockets, which stay bound while the card is started again, and gives the card a way to the guest. */
async function publish(
  publications: readonly Publication[],
  { lifetime, journal, place }: CardLaunch,
  directory: string,
): Promise<readonly BoundSocket[]> {
  if (publications.length === 0) return []
  const socket = vsockSocketPath(place.directory)
  linkSync(socket, join(directory, VSOCK_SOCKET))
  chmodSync(socket, FOR_THE_CARD)
  const bound: BoundSocket[] = []
  for (const publication of publications) {
    const socket = await lifetime.own(bindSocket(publication))
    journal.write(
      `port ${String(socket.guestPort)} of the guest is published at ${describePublication(socket)}`,
    )
    bound.push(socket)
  }
  return bound
}

/** The host's resolvers change when it moves to another network. */
function followResolvers(network: EnclaveNetwork): AsyncDisposable {
  const follow = (): void => {
    network.useResolvers(systemResolvers())
  }
  watchFile(RESOLV_CONF, { persistent: false, interval: RESOLVERS_INTERVAL_MS }, follow)
  return {
    [Symbol.asyncDispose]() {
      unwatchFile(RESOLV_CONF, follow)
      return Promise.resolve()
    },
  }
}

const REASONS: Readonly<Record<TurnedAway['why'], string>> = {
  refused: 'nothing listens there',
  undeclared: 'the guest says that its image does not declare it',
  tooMany: 'the guest has too many clients',
  timedOut: 'the guest did not answer in time',
  unreachable: 'the guest does not take clients, yet or any more',
  malformed: 'the guest answered with something unknown',
}

/** For the journal: why clients of a published port were turned away. */
function describeTurnedAway({ guestPort, protocol, why }: TurnedAway): string {
  return `a client of port ${String(guestPort)}/${protocol} of the guest was turned away: ${REASONS[why]}`
}
