// One running enclave, from its image to its end. `Enclave.launch` is the start-up story: measure,
// chip, vsock, machine, heartbeat. Every part belongs to one lifetime: when any of them ends, or
// the start fails half-way, all the others go with it.

import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Eif } from '../eif/index.ts'
import { CloisterError } from '../errors.ts'
import { Lifetime, together } from '../subprocess/index.ts'
import type { EgressPolicy } from '../manifest/index.ts'
import type { NsmCard, RequestStatistics } from '../nsm/index.ts'
import { checkDeclared } from '../network/index.ts'
import { Machine, type SerialPort } from '../vmm/index.ts'
import type { VsockCard } from '../vsock/index.ts'
import type { AgentChannel } from './guest/agent-channel.ts'
import type { LogChannel } from './guest/log-channel.ts'
import { waitForGuest } from './guest/boot-watch.ts'
import { needsNsmCard, startEnclaveNsmCard } from './parts/nsm-card.ts'
import { startEnclaveNetwork, type EnclaveNetwork } from './parts/network-card.ts'
import { startEnclaveVsockCard } from './parts/vsock-card.ts'
import { startChip, type EnclaveChip } from './parts/chip.ts'
import { inspectChip } from './parts/inspect-chip.ts'
import { ConsoleLog } from './guest/console-log.ts'
import type { NamedProcess, Part } from './end-cause.ts'
import { firstEnd, foretoldEnd } from './first-end.ts'
import { GuestReports } from './guest/guest-reports.ts'
import {
  configDigest,
  type EndCause,
  type Inspection,
  type LaunchDescription,
  type LaunchRequest,
  type LimitFacts,
  type MeasurementTexts,
  type Place,
  type Timeline,
} from '../enclaves/index.ts'
import type { EnclaveVsock } from './parts/vsock-ports.ts'
import { describeIncident, type Journal } from './journal.ts'
import { makeEnclaveGroups } from './parts/enclave-groups.ts'
import { measureImage, type MeasuredImage } from './parts/measured-image.ts'
import { checkPartUsers, partUsers, type PartUsers } from './parts/part-users.ts'
import { checkSameImage } from './measurement-texts.ts'
import { PeakMemory } from './peak-memory.ts'
import { serveParentPorts } from './guest/parent-ports.ts'

/** A running enclave; disposing of it ends all of its parts. */
export class Enclave implements AsyncDisposable {
  readonly eif: Eif
  readonly assurance: string
  readonly console: ConsoleLog | undefined
  readonly vsock: EnclaveVsock
  /** Where the image has egress, or ports are published. */
  readonly network: EnclaveNetwork | undefined
  /** Settles when the first part has ended; never rejects. */
  readonly ended: Promise<EndCause>
  readonly #parts: readonly Part[]
  readonly #lifetime: Lifetime
  readonly #agent: AgentChannel
  readonly #memory: PeakMemory
  readonly #logs: LogChannel | undefined
  /** Of its control groups. */
  readonly limits: LimitFacts
  readonly #chip: EnclaveChip
  readonly #machine: Machine
  readonly #timeline: Timeline

  private constructor(started: Started, { lifetime, guest, timeline }: Launch) {
    this.eif = started.eif
    this.assurance = started.chip.assurance
    this.#parts = started.parts
    this.console = started.console
    this.vsock = started.vsock
    this.network = started.network
    this.ended = started.ended
    this.#memory = started.memory
    this.limits = started.limits
    this.#lifetime = lifetime
    this.#agent = guest.channel
    this.#logs = guest.logs
    this.#chip = started.chip
    this.#machine = started.machine
    this.#timeline = timeline
  }

  /** QEMU, swtpm, the vsock card and, where there are such, the NSM card and those of the network that runs now. */
  get processes(): readonly NamedProcess[] {
    return [...this.#parts, ...(this.network?.processes ?? [])]
  }

  /**
   * Starts an enclave and waits until its app runs. When `signal` aborts, the start is undone.
   *
   * @throws `ERR_EIF_*`, `ERR_KEEPER_IMAGE`, `ERR_KEEPER_MEMORY`, `ERR_KEEPER_USERS`,
   * `ERR_KEEPER_DIRECTORY`, `ERR_PROCESS_SPAWN`, `ERR_TPM_*`, `ERR_CHIP_*`, `ERR_VSOCK_*`,
   * `ERR_NSM_CARD`, `ERR_VMM_START`, `ERR_BOOT_*`, `ERR_KEEPER_CONFIG_DATA`, `ERR_PROCESS_ABANDONED`; nothing is left behind
   * then.
   */
  static async launch(launch: LaunchOptions): Promise<Enclave> {
    const lifetime = new Lifetime()
    const { signal, journal } = launch
    const configuration = configurationOf(launch.request)
    const guest = new GuestReports(journal, configuration)
    const undo = (): void => {
      // What cannot be undone is thrown where the end is awaited.
      lifetime[Symbol.asyncDispose]().catch(() => undefined)
    }
    signal.addEventListener('abort', undo)
    try {
      signal.throwIfAborted()
      const users = partUsers(launch.request.description.accelerator)
      await checkPartUsers(users)
      const all = { ...launch, configuration, lifetime, guest, users }
      return new Enclave(await start(all), all)
    } catch (error) {
      await lifetime[Symbol.asyncDispose]()
      throw signal.aborted ? abandoned(error) : error
    } finally {
      signal.removeEventListener('abort', undo)
    }
  }

  /** The most that QEMU has had resident, as it was seen last. */
  get peakMemoryBytes(): number | undefined {
    return this.#memory.bytes
  }

  /** What its NSM was asked. */
  get nsmRequests(): readonly RequestStatistics[] {
    return this.#chip.statistics()
  }

  /** What is asked for by few, and looked up for them. */
  async inspect(): Promise<Inspection> {
    const [machine, chip] = await Promise.all([this.#machine.report(), inspectChip(this.#chip)])
    return {
      ...(machine !== undefined && { machine }),
      ...(chip !== undefined && { chip }),
      timeline: this.#timeline.steps,
    }
  }

  /** Asks the app to end (SIGTERM) and gives it `graceMs` for that. */
  async stopApp(graceMs: number): Promise<void> {
    this.#memory.look()
    const isEnding = this.#agent.signal(constants.signals.SIGTERM) || this.#agent.hasFinished
    if (graceMs === 0 || !isEnding) return
    await Promise.race([this.ended, sleep(graceMs)])
  }

  /** Settles when the last lines of an app that has ended are in the log, within a second. */
  async logged(): Promise<void> {
    await this.#logs?.drained()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lifetime[Symbol.asyncDispose]()
  }
}

/** Why a launch that was given up has no enclave. */
export function abandoned(cause?: unknown): CloisterError {
  const message = 'the enclave was terminated while it started'
  return new CloisterError('ERR_PROCESS_ABANDONED', message, { cause })
}

export interface LaunchOptions {
  readonly request: LaunchRequest
  readonly place: Place
  readonly timeline: Timeline
  readonly signal: AbortSignal
  readonly journal: Journal
  /** Called when the image is accepted, before anything is started. */
  readonly accepted: () => void
  /** What the image is to measure; absent: anything. */
  readonly expected: MeasurementTexts | undefined
  /** Called before the control groups are made. */
  readonly noteLimits: (limits: LimitFacts) => void
  /** Called before the guest can dial its parent, with the parts that run by then. */
  readonly noteParts: (parts: readonly Part[]) => void
}

interface Launch extends LaunchOptions {
  /** What the agent gets and PCR16 is extended with. */
  readonly configuration: Uint8Array | undefined
  readonly lifetime: Lifetime
  readonly guest: GuestReports
  readonly users: PartUsers
}

interface Started {
  readonly machine: Machine
  readonly network: EnclaveNetwork | undefined
  readonly eif: Eif
  readonly chip: EnclaveChip
  readonly parts: readonly Part[]
  readonly console: ConsoleLog | undefined
  readonly vsock: EnclaveVsock
  readonly ended: Promise<EndCause>
  readonly memory: PeakMemory
  readonly limits: LimitFacts
}

async function start(given: Launch): Promise<Started> {
  const { request, place, timeline, lifetime, guest } = given
  const { description } = request
  const accepting = acceptImage(given)
  const grouping = makeEnclaveGroups({ ...given, ...place, description })
  // Not `together`: an image that was accepted is closed even if the groups cannot be made.
  await Promise.allSettled([accepting, grouping])
  using image = await accepting
  const groups = await grouping
  const launch = { ...given, users: groups.users }
  const egress = image.manifest?.egress
  const isPublished = (request.network?.publications ?? []).length > 0
  const hasNsmCard = await needsNsmCard(launch, image)
  const hasNetwork = egress !== undefined
  const [chip, { card, vsock }] = await together(
    startTpm(launch, image).then((it) => lifetime.own(it)),
    timeline.measure('start the vsock card', () =>
      startEnclaveVsockCard({ ...launch, hasNsmCard, hasNetwork, isPublished }),
    ),
  )
  launch.noteParts([chip.process, card.process])
  const handleNsm = hasNsmCard ? undefined : chip.handle
  await serveParentPorts({ ...launch, image, socketPath: card.socketPath, handleNsm })
  const nsmCard = hasNsmCard
    ? await timeline.measure('start the NSM card', () => startEnclaveNsmCard({ ...launch, chip }))
    : undefined
  const network =
    egress !== undefined || isPublished ? await startNetwork(launch, egress, card) : undefined
  const deadline = performance.now() + description.bootTimeoutMs
  const machine = await timeline.measure('start QEMU', () =>
    startMachine(launch, image, { card, nsmCard }),
  )
  const memory = await watchMemory(launch, machine)
  const cards = [card, nsmCard].flatMap((it) => it?.process ?? [])
  const parts = [machine.process, chip.process, ...cards]
  // An enclave outlives its network card, which is started again.
  const ended = firstEnd({ parts, guest, machine, groups })
  const console = machine.console === undefined ? undefined : new ConsoleLog(machine.console)
  const wait: Wait = (awaited, what) =>
    waitForGuest({
      awaited,
      what,
      firstEnd: ended,
      deadline,
      timeoutMs: description.bootTimeoutMs,
      foretold: () => foretoldEnd(guest),
      consoleDrained: () => console?.drained(),
      consoleTail: () => console?.tail(20),
    })
  await untilTheAppRuns(launch, wait)
  await timeline.measure('wait for the certificate', () => chip.certified)
  const { facts: limits } = groups
  const shown = { console, vsock, network, ended, memory, limits, machine }
  return { eif: image.eif, chip, parts, ...shown }
}

function startTpm(launch: Launch, image: MeasuredImage): Promise<EnclaveChip> {
  const { request, place, users, configuration, journal } = launch
  const { debug, role } = request.description
  return launch.timeline.measure('start the virtual TPM and extend its PCRs', () =>
    startChip({
      stateDirectory: request.directories.state,
      enclaveDirectory: place.directory,
      moduleId: place.id,
      measurements: image.eif.measurements,
      ...{ debug, role, users },
      configuration: configuration && configDigest(configuration),
      report: (incident) => {
        journal.writeOfGuest(describeIncident(incident))
      },
    }),
  )
}

async function watchMemory({ lifetime, guest }: Launch, machine: Machine): Promise<PeakMemory> {
  const memory = await lifetime.own(new PeakMemory(machine.process.pid))
  // The agent waits for us before it ends the machine.
  void guest.lastWord.then(() => {
    memory.look()
  })
  return memory
}

function startNetwork(
  launch: Launch,
  egress: EgressPolicy | undefined,
  { socketPath }: VsockCard,
): Promise<EnclaveNetwork> {
  return launch.timeline.measure('start the network card', () =>
    startEnclaveNetwork({ ...launch, egress, socketPath }),
  )
}

type Wait = (awaited: Promise<undefined>, what: string) => Promise<void>

/** @throws `ERR_KEEPER_CONFIG_DATA` when the app runs without the configuration that its documents name. */
async function untilTheAppRuns(
  { timeline, guest, configuration }: Launch,
  wait: Wait,
): Promise<void> {
  await timeline.measure('boot to the heartbeat', () => wait(guest.heartbeat, 'heartbeat'))
  // AWS's init does not speak to us; our agent does, before the heartbeat.
  if (guest.channel.isConnected) {
    await timeline.measure('start the app', () =>
      wait(guest.appStarted, 'report that the app runs'),
    )
  }
  if (configuration === undefined || guest.channel.isConfigured) return
  const message = 'the image started its app without the configuration that it was given'
  throw new CloisterError('ERR_KEEPER_CONFIG_DATA', message)
}

/** Refuses an image that is invalid, or larger than the memory; no part of the enclave has been started by then. */
async function acceptImage(launch: Launch): Promise<MeasuredImage> {
  const { request, place, timeline, signal, expected } = launch
  const { description } = request
  const image = await timeline.measure('measure the image', () =>
    measureImage(description.eifPath, place.directory, { ...description, signal }),
  )
  try {
    if (expected !== undefined) checkSameImage(image.eif, expected)
    checkDeclared(request.network?.publications ?? [], image.manifest)
    launch.accepted()
    return image
  } catch (error) {
    image[Symbol.dispose]()
    throw error
  }
}

function startMachine(
  { request, users, lifetime }: Launch,
  image: MeasuredImage,
  { card, nsmCard }: { readonly card: VsockCard; readonly nsmCard: NsmCard | undefined },
): Promise<Machine> {
  return Machine.start({
    program: request.programs.qemu,
    confinement: users.qemu,
    vsock: card.vmm,
    nsm: nsmCard?.vmm,
    kernelFd: image.kernelFd,
    initrdFd: image.initrdFd,
    own: (process) => lifetime.own(process),
    timeoutMs: request.description.bootTimeoutMs,
    spec: {
      ...request.description,
      cmdline: image.cmdline,
      serialPort: serialPort(request.description, image),
      nsmCard: nsmCard !== undefined,
    },
  })
}

function configurationOf({ configData }: LaunchRequest): Uint8Array | undefined {
  return configData === undefined ? undefined : Buffer.from(configData, 'base64')
}

function serialPort({ debug }: LaunchDescription, { isStock }: MeasuredImage): SerialPort {
  if (debug) return 'console'
  return isStock ? 'dropped' : 'none'
}
