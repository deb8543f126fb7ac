// A running machine: one QEMU process, unprivileged, with everything it may touch inherited.

import type { Socket } from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import { CloisterError, messageOf } from '../errors.ts'
import {
  findProgram,
  startProcess,
  type Confinement,
  type ManagedProcess,
} from '../process/index.ts'
import { machineFds, type MachineSpec } from './machine-spec.ts'
import { qemuArgs } from './qemu-args.ts'
import { QmpClient } from './qmp.ts'

export interface MachineOptions {
  readonly spec: MachineSpec
  /** The QEMU program. */
  readonly program: string
  readonly confinement: Confinement
  /** Connected to the vsock card's vhost-user socket; handed over and closed on this side. */
  readonly vsock: Socket
  /** Open for reading at the measured bytes; the caller closes them. */
  readonly kernelFd: number
  readonly initrdFd: number
}

export class Machine implements AsyncDisposable {
  readonly process: ManagedProcess
  /** What the guest writes to its serial port; only in debug mode. */
  readonly console: Readable | undefined
  readonly #qmp: QmpClient

  private constructor(process: ManagedProcess, qmp: QmpClient, console: Readable | undefined) {
    this.process = process
    this.#qmp = qmp
    this.console = console
  }

  /** @throws `ERR_PROCESS_SPAWN`, `ERR_VMM_START` with QEMU's own words. */
  static async start(options: MachineOptions): Promise<Machine> {
    const { spec } = options
    findProgram(options.program)
    const process = await startProcess({
      name: 'QEMU',
      command: [...pinned(spec), options.program, ...qemuArgs(spec)],
      confinement: options.confinement,
      cwd: '/',
      extraStdio: [
        'pipe',
        options.vsock,
        options.kernelFd,
        options.initrdFd,
        ...(spec.debug ? (['pipe'] as const) : []),
      ],
    })
    options.vsock.destroy()
    try {
      const console = spec.debug ? output(process.channel(machineFds.console)) : undefined
      return new Machine(process, await QmpClient.open(process.channel(machineFds.qmp)), console)
    } catch (cause) {
      await process[Symbol.asyncDispose]()
      throw new CloisterError('ERR_VMM_START', `QEMU did not start: ${process.lastWords()}`, {
        cause,
        details: { stderr: process.lastWords(), reason: messageOf(cause) },
      })
    }
  }

  /** Ends QEMU by its own hand; {@link Symbol.asyncDispose} does it by force. */
  async quit(): Promise<void> {
    await this.#qmp.execute('quit')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]()
  }
}

function pinned({ cpuIds }: MachineSpec): readonly string[] {
  return cpuIds.length === 0 ? [] : ['taskset', '--cpu-list', cpuIds.join(',')]
}

function output(channel: Duplex): Readable {
  channel.on('error', () => channel.destroy())
  return channel
}
