// A running machine: one QEMU process, unprivileged, with everything it may touch inherited.

import type { Socket } from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { CloisterError, reasonOf } from '../errors.ts'
import {
  findProgram,
  NO_WORDS,
  startProcess,
  type Confinement,
  type ManagedProcess,
  type ProcessEnd,
} from '../subprocess/index.ts'
import { reportMachine, type MachineReport } from './machine-report.ts'
import { machineFds, type MachineSpec } from './machine-spec.ts'
import { qemuArgs } from './qemu-args.ts'
import { QmpClient, type ShutdownReason } from './qmp.ts'
import { untilStalled, type Stall } from './stall-watch.ts'

/** How long the last words over QMP may take once QEMU has ended. */
const LAST_EVENT_MS = 1000

/**
 * What a serial port without a reader yields: a terminal's end-of-file character (termios(3), VEOF)
 * ends one read each, as the guest's terminals are set up when they are opened. A reader would
 * otherwise wait for ever.
 */
const END_OF_INPUT = new Uint8Array(1024).fill(0x04)

export interface MachineOptions {
  readonly spec: MachineSpec
  /** The QEMU program. */
  readonly program: string
  readonly confinement: Confinement
  /** Connected to the vsock card's vhost-user socket; handed over and closed on this side. */
  readonly vsock: Socket
  /** The same of the NSM card; there when `spec.nsmCard` is true. */
  readonly nsm?: Socket | undefined
  /** Open for reading at the measured bytes; the caller closes them. */
  readonly kernelFd: number
  readonly initrdFd: number
  /** Takes QEMU as soon as it runs; what it throws ends the start. */
  readonly own: (process: ManagedProcess) => Promise<unknown>
  /** How long QEMU may take until it answers over QMP, ms. */
  readonly timeoutMs: number
}

interface RunningOptions {
  readonly console: Readable | undefined
  readonly cpuCount: number
}

/** Its process belongs to the lifetime that took it by `own`. */
export class Machine {
  readonly process: ManagedProcess
  /** What the guest writes to its serial port; only in debug mode. */
  readonly console: Readable | undefined
  /** Settles when the machine stands still for good while QEMU runs on; it may stay pending. */
  readonly stalled: Promise<Stall>
  readonly #qmp: QmpClient

  private constructor(process: ManagedProcess, qmp: QmpClient, options: RunningOptions) {
    this.process = process
    this.#qmp = qmp
    this.console = options.console
    // A QEMU that does not answer, or not properly, is one that goes: its process says how.
    this.stalled = untilStalled(qmp, options.cpuCount).catch(
      () => new Promise<never>(() => undefined),
    )
  }

  /**
   * @throws `ERR_PROCESS_SPAWN`, `ERR_VMM_START` with QEMU's own words, also when it does not
   * answer in time.
   */
  static async start(options: MachineOptions): Promise<Machine> {
    const process = await spawnQemu(options)
    await options.own(process)
    try {
      const hasConsole = options.spec.serialPort === 'console'
      const console = hasConsole ? output(process.channel(machineFds.console)) : undefined
      const qmp = await QmpClient.open(process.channel(machineFds.qmp), options.timeoutMs)
      return new Machine(process, qmp, { console, cpuCount: options.spec.cpuCount })
    } catch (cause) {
      const end = await Promise.race([process.ended, sleep(LAST_EVENT_MS, undefined)])
      await process[Symbol.asyncDispose]()
      throw await notStarted(process, options, { cause, end })
    }
  }

  /** What QEMU says of it at the moment; undefined when it does not answer properly. */
  report(): Promise<MachineReport | undefined> {
    return reportMachine(this.#qmp)
  }

  /** Why QEMU ended, once it has; undefined when it did not say. */
  async shutdownReason(): Promise<ShutdownReason | undefined> {
    await Promise.race([this.#qmp.closed, sleep(LAST_EVENT_MS, undefined, { ref: false })])
    return this.#qmp.shutdownReason
  }
}

/** Whatever comes of it, our ends of the cards' connections are closed. */
async function spawnQemu(options: MachineOptions): Promise<ManagedProcess> {
  const { spec } = options
  try {
    findProgram(options.program)
    return await startProcess({
      name: 'QEMU',
      command: [...pinned(spec), options.program, ...qemuArgs(spec)],
      confinement: options.confinement,
      cwd: '/',
      ...(spec.serialPort === 'dropped' ? { stdin: END_OF_INPUT } : {}),
      extraStdio: [
        'pipe',
        options.vsock,
        options.kernelFd,
        options.initrdFd,
        spec.serialPort === 'console' ? 'pipe' : 'ignore',
        options.nsm ?? 'ignore',
      ],
    })
  } finally {
    options.vsock.destroy()
    options.nsm?.destroy()
  }
}

interface FailedStart {
  readonly cause: unknown
  /** Undefined while it runs. */
  readonly end: ProcessEnd | undefined
}

async function notStarted(
  process: ManagedProcess,
  { program, spec }: MachineOptions,
  { cause, end }: FailedStart,
): Promise<CloisterError> {
  const stderr = await process.finalWords()
  const reason = end === undefined ? reasonOf(cause) : describeEnd(end)
  const isSilent = stderr === NO_WORDS
  return new CloisterError('ERR_VMM_START', `QEMU did not start (${reason}): ${stderr}`, {
    ...(end === undefined && { cause }),
    details: { stderr, reason },
    hint: isSilent
      ? `Check that ${program} is QEMU: \`${program} --version\`; CLOISTER_QEMU names another.`
      : spec.accelerator === 'kvm'
        ? "Read QEMU's output above; `--accelerator tcg` runs without KVM."
        : "Read QEMU's output above.",
  })
}

function describeEnd({ code, signal }: ProcessEnd): string {
  return code === null ? `it was ended by ${String(signal)}` : `exit status ${String(code)}`
}

function pinned({ cpuIds }: MachineSpec): readonly string[] {
  return cpuIds.length === 0 ? [] : ['taskset', '--cpu-list', cpuIds.join(',')]
}

function output(channel: Duplex): Readable {
  channel.on('error', () => channel.destroy())
  return channel
}
