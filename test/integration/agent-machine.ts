// A machine that boots the real agent on the real kernel, and returns what its parent was told.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Parent, type AgentEvent, type ParentOptions } from './agent-parent.ts'

const repository = resolve(import.meta.dirname, '../..')
const blobs = process.env['CLOISTER_BLOBS'] ?? join(repository, 'build/blobs')
const vsockCard = join(repository, 'build/bin/cloister-vsock')
const target = join(repository, 'target/probe')

/** What the image promises of what the kernel has to unpack: `/unpacked.json`. */
export interface Promised {
  readonly entries: number
  readonly bytes: number
}

export interface BootOptions extends ParentOptions {
  /** The bytes of cloister.yaml, or an object for it; absent: the initramfs has none. */
  readonly manifest?: string | object
  /** Files of this size below /rootfs, in the order of their numbers. */
  readonly files?: { readonly count: number; readonly bytes: number }
  /** 64 by default. */
  readonly memoryMib?: number
  /** Changes what /unpacked.json says, by default the truth; `null`: the image has none. */
  readonly promise?: ((truth: Promised) => object) | null
}

export interface Boot {
  readonly events: readonly AgentEvent[]
  /** What the app and the agent printed, without carriage returns. */
  readonly console: string
  /** NSM requests that the parent answered. */
  readonly nsmRequests: number
  /** QEMU's exit status; null when it had to be killed. */
  readonly exitCode: number | null
}

/** A manifest that runs the probe (agent/examples/probe.rs) with these arguments. */
export function probeManifest(args: readonly string[], changes: object = {}): object {
  const user = { uid: 0, gid: 0, groups: [] }
  return { version: 1, entrypoint: ['/probe'], cmd: args, env: [], workdir: '/', user, ...changes }
}

/** Builds the probe, static; cargo does nothing when it is current. */
export function buildProbe(): void {
  const flags = ['--locked', '--release', '--package', 'cloister-agent', '--example', 'probe']
  execFileSync('cargo', ['build', '--quiet', ...flags, '--target-dir', target], { cwd: repository })
}

/** Boots the agent, plays the parent, and returns when the machine is gone. */
export async function bootAgent(options: BootOptions): Promise<Boot> {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-agent-'))
  const parent = new Parent(join(directory, 'v'), options)
  let device: ChildProcess | undefined
  try {
    writeInitramfs(directory, options)
    await parent.listen()
    device = spawn(vsockCard, deviceArguments(directory), { stdio: 'ignore' })
    while (!existsSync(join(directory, 'vu'))) await sleep(10)
    const qemu = spawn('qemu-system-x86_64', qemuArguments(directory, options), {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 60_000,
    })
    const [exitCode] = (await once(qemu, 'exit')) as [number | null]
    const text = readFileSync(join(directory, 'console'), 'utf8').replaceAll('\r', '')
    return { events: parent.events, console: text, nsmRequests: parent.nsmRequests, exitCode }
  } finally {
    device?.kill('SIGKILL')
    parent.close()
    rmSync(directory, { recursive: true })
  }
}

function writeInitramfs(directory: string, options: BootOptions): void {
  const root = join(directory, 'initramfs')
  const program = join(target, 'x86_64-unknown-linux-gnu/release/examples/probe')
  mkdirSync(join(root, 'dev'), { recursive: true })
  mkdirSync(join(root, 'rootfs'))
  cpSync(join(blobs, 'init'), join(root, 'init'))
  cpSync(program, join(root, 'rootfs/probe'))
  const names = ['dev', 'init', ...writeContents(root, options)]
  const archive = execFileSync('cpio', ['-o', '-H', 'newc', '-R', '0:0', '--quiet'], {
    cwd: root,
    input: names.map((name) => `${name}\n`).join(''),
    maxBuffer: 2 ** 28,
  })
  writeFileSync(join(directory, 'initramfs.cpio'), archive)
}

/** The application's part; returns its names, in the order of the archive. */
function writeContents(root: string, { manifest, files, promise }: BootOptions): string[] {
  const names = ['rootfs', 'rootfs/probe']
  if (manifest !== undefined) {
    const text = typeof manifest === 'string' ? manifest : `${JSON.stringify(manifest)}\n`
    writeFileSync(join(root, 'cloister.yaml'), text)
    names.unshift('cloister.yaml')
  }
  for (let index = 0; index < (files?.count ?? 0); index++) {
    const name = `rootfs/${String(index)}`
    writeFileSync(join(root, name), new Uint8Array(files?.bytes ?? 0))
    names.push(name)
  }
  if (manifest === undefined || promise === null) return names
  const sizes = names.map((name) => statSync(join(root, name))).filter((it) => it.isFile())
  const truth = { entries: names.length, bytes: sizes.reduce((sum, { size }) => sum + size, 0) }
  const unpacked = { version: 1, names: ['cloister.yaml', 'rootfs'], ...truth, ...promise?.(truth) }
  writeFileSync(join(root, 'unpacked.json'), JSON.stringify(unpacked))
  return [...names, 'unpacked.json']
}

function deviceArguments(directory: string): string[] {
  const sockets = ['--vhost-user', join(directory, 'vu'), '--uds-path', join(directory, 'v')]
  return ['--guest-cid', '16', ...sockets]
}

function qemuArguments(directory: string, { memoryMib = 64 }: BootOptions): string[] {
  const memory = String(memoryMib)
  return [
    ...['-M', 'microvm,acpi=off,isa-serial=on,auto-kernel-cmdline=off,memory-backend=m'],
    ...['-accel', 'tcg,tb-size=32', '-cpu', 'max,-erms,-fsrm,level-func7=0', '-m', memory],
    ...['-object', `memory-backend-memfd,id=m,size=${memory}M,share=on`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(blobs, 'minimal/vmlinux'), '-initrd', join(directory, 'initramfs.cpio')],
    ...['-append', `${readFileSync(join(blobs, 'cmdline'), 'utf8')} quiet`],
    ...['-serial', `file:${directory}/console`],
    ...['-chardev', `socket,id=c0,path=${directory}/vu`],
    ...['-device', 'vhost-user-vsock-device,chardev=c0'],
  ]
}
