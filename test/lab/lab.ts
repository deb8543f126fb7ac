// A host with KVM for tests: boots it, runs commands in it, ends it and everything of it. For the
// persistent disk, `cutPower` ends it without a warning.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { Channel, type CommandOptions, type CommandResult } from './channel.ts'
import { bash } from './commands.ts'
import { initramfs, kernelPath } from './kernel.ts'
import { startMachineTpm, type MachineTpm } from './machine-tpm.ts'
import { defaultOptions, type LabOptions } from './options.ts'
import { projectImage } from './project-image.ts'
import { CHANNEL_FD, labQemuArgs, type LabFiles } from './qemu-args.ts'
import { installInLab, recentQemu } from './recent-qemu.ts'
import { rootImage } from './root-image.ts'
import { Scratch } from './scratch.ts'

const OVMF = '/usr/share/OVMF'
/** Many times what it takes on an idle machine. */
const BOOT_MS = 300_000
const SYNC_MS = 30_000
const CONSOLE_BYTES = 65_536
const DISK_SIZE = '256M'

const MAKE_FILES = `mksquashfs "$2" "$1" -quiet -no-progress -all-root -root-mode 755 -noI -noD -noF -noX >/dev/null`
const MAKE_DISK = `[ -e "$1" ] || mke2fs -q -t ext4 "$1" "$2"`

export class Lab implements AsyncDisposable {
  readonly #qemu: ChildProcess
  readonly #channel: Channel
  readonly #tpm: MachineTpm | undefined
  readonly #scratch: Scratch
  readonly #ended: Promise<unknown>
  #console = ''

  private constructor(scratch: Scratch, args: readonly string[], tpm: MachineTpm | undefined) {
    const stdio = ['ignore', 'pipe', 'pipe', 'pipe'] as const
    const command = ['--pdeathsig', 'KILL', recentQemu(), ...args]
    this.#qemu = spawn('setpriv', command, { stdio: [...stdio] })
    this.#scratch = scratch
    this.#tpm = tpm
    this.#channel = new Channel(this.#qemu.stdio[CHANNEL_FD] as Duplex)
    for (const stream of [this.#qemu.stdout, this.#qemu.stderr])
      stream?.on('data', (bytes: Buffer) => {
        this.#console = (this.#console + bytes.toString('latin1')).slice(-CONSOLE_BYTES)
      })
    this.#ended = once(this.#qemu, 'close').then(() => {
      this.#channel.end(new Error(`the lab has ended; its console ends with:\n${this.console()}`))
    })
  }

  /** Boots a host and waits until it takes commands. */
  static async start(chosen: Partial<LabOptions> = {}): Promise<Lab> {
    const options = { ...defaultOptions, ...chosen }
    const scratch = new Scratch()
    let tpm: MachineTpm | undefined
    let lab: Lab | undefined
    try {
      if (options.tpm) tpm = await startMachineTpm(tpmDirectory(options, scratch.directory))
      const { args, setUp } = await describeMachine(options, scratch.directory, tpm?.socket)
      lab = new Lab(scratch, args, tpm)
      await lab.#boot(setUp)
      return lab
    } catch (error) {
      await lab?.[Symbol.asyncDispose]()
      tpm?.process.kill('SIGKILL')
      scratch[Symbol.dispose]()
      throw error
    }
  }

  /** Runs a program; rejects only when the host ends before it. */
  async run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const begin = performance.now()
    const result = await this.#channel.run(argv, options)
    if (process.env['LAB_TRACE'] !== undefined) trace(argv, result, performance.now() - begin)
    return result
  }

  /** Runs a bash script. */
  shell(script: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.run(['bash', '-c', script], options)
  }

  /** The end of what the host wrote to its serial port. */
  console(): string {
    return this.#console
  }

  /** Ends the host at once; what it had not written to its persistent disk is lost. */
  async cutPower(): Promise<void> {
    this.#qemu.kill('SIGKILL')
    await this.#ended
    this.#tpm?.process.kill('SIGKILL')
    this.#scratch[Symbol.dispose]()
  }

  /** Copies the persistent disk as a power cut at this moment would leave it; the host goes on. */
  async photographDisk(disk: string, copy: string): Promise<void> {
    this.#qemu.kill('SIGSTOP')
    try {
      await bash('cp --sparse=always "$1" "$2"', disk, copy)
    } finally {
      this.#qemu.kill('SIGCONT')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shell('sync', { timeoutMs: SYNC_MS }).catch(() => undefined)
    await this.cutPower()
  }

  async #boot(setUp: readonly string[]): Promise<void> {
    const late = setTimeout(() => this.#qemu.kill('SIGKILL'), BOOT_MS)
    try {
      await this.#channel.ready
      for (const script of setUp) {
        const { status, stderr } = await this.shell(script)
        if (status !== 0) throw new Error(`the lab's host is not as wanted: ${script}: ${stderr}`)
      }
    } finally {
      clearTimeout(late)
    }
  }
}

/** For people who look at where the time goes. */
function trace(argv: readonly string[], { status, stderr }: CommandResult, tookMs: number): void {
  const seconds = (tookMs / 1000).toFixed(1)
  process.stderr.write(`lab: ${seconds} s, status ${String(status)}: ${argv.join(' ')}\n${stderr}`)
}

/** Beside the persistent disk, if there is one: it outlives the machine too. */
function tpmDirectory({ disk }: LabOptions, scratch: string): string {
  return disk === undefined ? join(scratch, 'tpm') : `${disk}.tpm`
}

interface MachineDescription {
  readonly args: readonly string[]
  /** Scripts that make the host what the options want. */
  readonly setUp: readonly string[]
}

async function describeMachine(
  options: LabOptions,
  scratch: string,
  tpmSocket: string | undefined,
): Promise<MachineDescription> {
  const images = [await rootImage(options.rootTree), await projectImage()]
  const setUp = [installInLab(), ...options.modules.map((module) => `modprobe ${module}`)]
  if (!options.userNamespaces) setUp.push('sysctl -qw user.max_user_namespaces=0')
  if (options.files !== undefined) {
    images.push(join(scratch, 'files'))
    await bash(MAKE_FILES, join(scratch, 'files'), options.files)
    setUp.push(mount(images.length, '/files', '-t squashfs -o ro'))
  }
  const disks = images.map((path) => ({ path, readOnly: true }))
  if (options.disk !== undefined) {
    disks.push({ path: options.disk, readOnly: false })
    await bash(MAKE_DISK, options.disk, DISK_SIZE)
    setUp.push(mount(disks.length, '/persistent', '-t ext4'))
  }
  const firmware = options.uefi ? copyFirmware(scratch) : undefined
  const files = { kernel: kernelPath(), initramfs: await initramfs(), disks, firmware, tpmSocket }
  return { args: labQemuArgs(options, files), setUp }
}

/** @param number - Of the disk, from 1. */
function mount(number: number, place: string, options: string): string {
  const device = `/dev/vd${String.fromCharCode(96 + number)}`
  return `mkdir -p ${place} && mount ${options} ${device} ${place}`
}

/** Its variables are written to: a copy of their own for each machine. */
function copyFirmware(scratch: string): NonNullable<LabFiles['firmware']> {
  const variables = join(scratch, 'variables')
  copyFileSync(`${OVMF}/OVMF_VARS_4M.fd`, variables)
  return { code: `${OVMF}/OVMF_CODE_4M.fd`, variables }
}
