// One running enclave. Every part belongs to one lifetime: when any of them ends, or the start fails
// half-way, all the others go with it.

import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Eif } from '../eif/index.ts'
import { CloisterError } from '../errors.ts'
import { Lifetime } from '../subprocess/index.ts'
import type { RequestStatistics } from '../nsm/index.ts'
import type { Machine } from '../vmm/index.ts'
import type { AgentChannel } from './guest/agent-channel.ts'
import type { LogChannel } from './guest/log-channel.ts'
import type { EnclaveNetwork } from './parts/network-card.ts'
import type { EnclaveChip } from './parts/chip.ts'
import { inspectChip } from './parts/inspect-chip.ts'
import type { ConsoleLog } from './guest/console-log.ts'
import type { NamedProcess, Part } from './end-cause.ts'
import { GuestReports } from './guest/guest-reports.ts'
import type {
  EndCause,
  Inspection,
  LaunchRequest,
  LimitFacts,
  Timeline,
} from '../enclaves/index.ts'
import type { EnclaveVsock } from './parts/vsock-ports.ts'
import { checkPartUsers, partUsers } from './parts/part-users.ts'
import type { PeakMemory } from './peak-memory.ts'
import { startUp, type Launch, type LaunchOptions, type Started } from './start-up.ts'

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
      return new Enclave(await startUp(all), all)
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

function configurationOf({ configData }: LaunchRequest): Uint8Array | undefined {
  return configData === undefined ? undefined : Buffer.from(configData, 'base64')
}
