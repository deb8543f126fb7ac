// The start-up story of an enclave: measure the image, make its control groups, start its chip and its
// cards, then the machine, and wait until its app runs.

import type { Eif } from '../eif/index.ts'
import { CloisterError } from '../errors.ts'
import { together, type Lifetime } from '../subprocess/index.ts'
import type { NsmCard } from '../nsm/index.ts'
import { checkDeclared } from '../network/index.ts'
import { Machine, type SerialPort } from '../vmm/index.ts'
import type { VsockCard } from '../vsock/index.ts'
import { waitForGuest, type BootWatch } from './guest/boot-watch.ts'
import { needsNsmCard, startEnclaveNsmCard } from './parts/nsm-card.ts'
import { startEnclaveNetwork, type EnclaveNetwork } from './parts/network-card.ts'
import { startEnclaveVsockCard } from './parts/vsock-card.ts'
import { startChip, type EnclaveChip } from './parts/chip.ts'
import { ConsoleLog } from './guest/console-log.ts'
import type { Part } from './end-cause.ts'
import { firstEnd, foretoldEnd } from './first-end.ts'
import type { GuestReports } from './guest/guest-reports.ts'
import {
  configDigest,
  type EndCause,
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
import type { PartUsers } from './parts/part-users.ts'
import { checkSameImage } from './measurement-texts.ts'
import { PeakMemory } from './peak-memory.ts'
import { serveParentPorts } from './guest/parent-ports.ts'

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

export interface Launch extends LaunchOptions {
  /** What the agent gets and PCR16 is extended with. */
  readonly configuration: Uint8Array | undefined
  readonly lifetime: Lifetime
  readonly guest: GuestReports
  readonly users: PartUsers
}

export interface Started {
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

/** @throws what `Enclave.launch` throws; what was started by then ends with the launch's lifetime. */
export async function startUp(given: Launch): Promise<Started> {
  const { description } = given.request
  const accepting = acceptImage(given)
  const grouping = makeEnclaveGroups({ ...given, ...given.place, description })
  // Not `together`: an image that was accepted is closed even if the groups cannot be made.
  await Promise.allSettled([accepting, grouping])
  using image = await accepting
  const groups = await grouping
  const launch = { ...given, users: groups.users }
  const devices = await startDevices(launch, image)
  const { timeline, guest } = launch
  const deadline = performance.now() + description.bootTimeoutMs
  const machine = await timeline.measure('start QEMU', () => startMachine(launch, image, devices))
  const memory = await watchMemory(launch, machine)
  const { chip, card, nsmCard, vsock, network } = devices
  const cards = [card, nsmCard].flatMap((it) => it?.process ?? [])
  const parts = [machine.process, chip.process, ...cards]
  // An enclave outlives its network card, which is started again.
  const ended = firstEnd({ parts, guest, machine, groups })
  const console = machine.console === undefined ? undefined : new ConsoleLog(machine.console)
  await untilTheAppRuns(launch, { firstEnd: ended, deadline, console })
  await timeline.measure('wait for the certificate', () => chip.certified)
  const shown = { console, vsock, network, ended, memory, limits: groups.facts, machine }
  return { eif: image.eif, chip, parts, ...shown }
}

/** What a machine is started with: its chip, and the cards of its vsock, NSM and network. */
interface Devices {
  readonly chip: EnclaveChip
  readonly card: VsockCard
  readonly vsock: EnclaveVsock
  readonly nsmCard: NsmCard | undefined
  readonly network: EnclaveNetwork | undefined
}

async function startDevices(launch: Launch, image: MeasuredImage): Promise<Devices> {
  const { timeline, lifetime, request } = launch
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
  const { socketPath } = card
  const handleNsm = hasNsmCard ? undefined : chip.handle
  await serveParentPorts({ ...launch, image, socketPath, handleNsm })
  const nsmCard = hasNsmCard
    ? await timeline.measure('start the NSM card', () => startEnclaveNsmCard({ ...launch, chip }))
    : undefined
  const network =
    hasNetwork || isPublished
      ? await timeline.measure('start the network card', () =>
          startEnclaveNetwork({ ...launch, egress, socketPath }),
        )
      : undefined
  return { chip, card, vsock, nsmCard, network }
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

interface Boot extends Pick<BootWatch, 'firstEnd' | 'deadline'> {
  /** In debug mode. */
  readonly console: ConsoleLog | undefined
}

/**
 * @throws `ERR_BOOT_*`, and `ERR_KEEPER_CONFIG_DATA` when the app runs without the configuration that
 * its documents name.
 */
async function untilTheAppRuns(launch: Launch, boot: Boot): Promise<void> {
  const { timeline, guest, configuration, request } = launch
  const { bootTimeoutMs: timeoutMs } = request.description
  const wait = (awaited: Promise<undefined>, what: string): Promise<void> =>
    waitForGuest({
      ...{ awaited, what, timeoutMs, ...boot },
      foretold: () => foretoldEnd(guest),
      consoleDrained: () => boot.console?.drained(),
      consoleTail: () => boot.console?.tail(20),
    })
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
  { card, nsmCard }: Devices,
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

function serialPort({ debug }: LaunchDescription, { isStock }: MeasuredImage): SerialPort {
  if (debug) return 'console'
  return isStock ? 'dropped' : 'none'
}
