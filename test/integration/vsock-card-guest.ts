// A real guest behind a real vsock back end: ours, or the stock one for comparison. The guest runs
// cards/vsock/examples/guest_test, which obeys commands sent over the device under test.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { QmpClient } from '../../src/vmm/qmp.ts'
import { ramdiskOf } from './vsock-card-ramdisk.ts'

const repository = resolve(import.meta.dirname, '../..')
const binaries = join(repository, 'target/x86_64-unknown-linux-gnu/release')
const guestMemoryMib = 256
const cmdline = 'reboot=t panic=-1 console=ttyS0 quiet virtio_mmio.device=512@0xfeb00e00:12'
/** As in src/vmm/qemu-args.ts. */
const cpu = 'max,-erms,-fsrm,level-func7=0'
const commandPort = 9000

export type BackEnd = 'card' | 'stock'

/** A part built elsewhere; fails with what to do when it is missing. */
function part(path: string, hint: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing: ${hint}`)
  return path
}

export const cardBinary = () =>
  part(join(binaries, 'cloister-vsock'), 'cargo build --release -p cloister-vsock')

/** The event or answer lines of the card's channel. */
export type ControlMessage = Readonly<Record<string, unknown>>

/** A running back end, with the sockets of one enclave in a directory of its own. */
export class VsockBackEnd implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'vsock-card-'))
  readonly socket = join(this.directory, 'v')
  readonly vhostUser = join(this.directory, 'vu')
  readonly process: ChildProcess
  readonly kind: BackEnd
  readonly #messages: ControlMessage[] = []
  #waiting: (() => void) | undefined
  #isOver = false
  #lastId = 0

  constructor(kind: BackEnd, options: readonly string[] = []) {
    this.kind = kind
    this.process =
      kind === 'card'
        ? this.#startCard(options)
        : spawn(...stockCommand(this.vhostUser, this.socket))
  }

  #startCard(options: readonly string[]): ChildProcess {
    const argv = ['--guest-cid', '16', '--vhost-user', this.vhostUser, '--uds-path', this.socket]
    const card = spawn(cardBinary(), [...argv, '--channel', 'fd=3', ...options], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    })
    createInterface({ input: this.#channel(card) }).on('line', (line) => {
      this.#messages.push(JSON.parse(line) as ControlMessage)
      this.#waiting?.()
    })
    card.on('exit', () => {
      this.#isOver = true
      this.#waiting?.()
    })
    return card
  }

  #channel(card = this.process): Socket {
    return card.stdio[3] as Socket
  }

  /** The first message, past or to come, that satisfies the condition; it is taken out. */
  async message(condition: (message: ControlMessage) => boolean): Promise<ControlMessage> {
    for (;;) {
      const index = this.#messages.findIndex(condition)
      if (index >= 0) return this.#messages.splice(index, 1)[0] as ControlMessage
      if (this.#isOver) throw new Error('the card has ended')
      await new Promise<void>((fulfil) => (this.#waiting = fulfil))
    }
  }

  /** Sends a request of the card channel; returns the result, or throws the error's text. */
  async request(request: ControlMessage): Promise<unknown> {
    const id = ++this.#lastId
    this.#channel().write(`${JSON.stringify({ id, ...request })}\n`)
    const answer = await this.message((message) => message['id'] === id)
    if ('error' in answer) throw new Error(JSON.stringify(answer['error']))
    return answer['result']
  }

  async status(): Promise<CardStatus> {
    return (await this.request({ request: 'status' })) as CardStatus
  }

  /** Ends the keeper's side of the card channel. */
  hangUp(): void {
    this.#channel().destroy()
  }

  /** Resident memory in bytes. */
  residentBytes(): number {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(
      readFileSync(`/proc/${String(this.process.pid)}/status`, 'utf8'),
    )
    return Number(line?.[1]) * 1024
  }

  /** Resident memory that is the card's alone: the guest's, which it maps, is left out. */
  ownBytes(): number {
    const status = readFileSync(`/proc/${String(this.process.pid)}/status`, 'utf8')
    const [, kib] = /^RssAnon:\s+(\d+) kB$/m.exec(status) ?? []
    return Number(kib) * 1024
  }

  /** CPU seconds used so far, user and system. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${String(this.process.pid)}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  /** Serves a parent port. */
  async listen(port: number, serve: (socket: Socket) => void): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, serve)
    server.listen({ path: `${this.socket}_${String(port)}`, backlog: 1024 })
    await once(server, 'listening')
    return server
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.process)
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export interface CardStatus {
  readonly connections: number
  readonly bufferedBytes: number
  readonly counters: Readonly<Record<string, number>>
  readonly parentPorts: string
  readonly guestPorts: string
}

function stockCommand(vhostUser: string, socket: string): [string, string[]] {
  const binary =
    process.env['CLOISTER_STOCK_VSOCK'] ?? join(repository, 'build/bin/vhost-device-vsock')
  // Larger packets than 28 KiB wedge it.
  const vm = `guest-cid=16,socket=${vhostUser},uds-path=${socket},tx-buffer-size=28672`
  return [binary, ['--vm', vm]]
}

/** A running virtual machine; `command` is answered by the program inside. */
export class Guest implements AsyncDisposable {
  readonly process: ChildProcess
  readonly console: string
  readonly #socket: Socket
  readonly #server: Server
  readonly #qmpPath: string
  readonly #waiting = new Map<number, (answer: string) => void>()
  #lastId = 0

  private constructor(process: ChildProcess, directory: string, server: Server, socket: Socket) {
    this.process = process
    this.console = join(directory, 'console')
    this.#qmpPath = join(directory, 'qmp')
    this.#server = server
    this.#socket = socket
    createInterface({ input: socket }).on('line', (line) => {
      const space = line.indexOf(' ')
      this.#waiting.get(Number(line.slice(0, space)))?.(line.slice(space + 1))
    })
    socket.on('error', () => undefined)
  }

  static async start(backEnd: VsockBackEnd): Promise<Guest> {
    if (backEnd.kind === 'card') await backEnd.message(({ event }) => event === 'ready')
    return Guest.restart(backEnd)
  }

  /** Starts another machine at a back end that has served one. */
  static async restart(backEnd: VsockBackEnd): Promise<Guest> {
    const console = join(backEnd.directory, 'console')
    const connected = withResolvers<Socket>()
    const server = await backEnd.listen(commandPort, connected.resolve)
    await waitForFile(backEnd.vhostUser)
    const machine = spawn('qemu-system-x86_64', qemuArguments(backEnd, console), {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const died = once(machine, 'exit').then(() => {
      throw new Error(`the machine ended early:\n${readFileSync(console, 'utf8')}`)
    })
    const socket = await Promise.race([connected.promise, died])
    died.catch(() => undefined)
    return new Guest(machine, backEnd.directory, server, socket)
  }

  /** Has the guest perform a command; rejects with its error. */
  async command<T>(...words: readonly (string | number)[]): Promise<T> {
    const id = ++this.#lastId
    const answer = new Promise<string>((fulfil) => this.#waiting.set(id, fulfil))
    this.#socket.write(`${[id, ...words].join(' ')}\n`)
    const parsed = JSON.parse(await answer) as T & { readonly message?: string }
    this.#waiting.delete(id)
    if (parsed.message !== undefined) throw new Error(`${words.join(' ')}: ${parsed.message}`)
    return parsed
  }

  /** The VMM's control socket. */
  async qmp(): Promise<QmpClient> {
    return QmpClient.open(createConnection(this.#qmpPath), 5000)
  }

  /** Ends the machine from inside. */
  async reboot(): Promise<void> {
    const exit = once(this.process, 'exit')
    this.#socket.write('0 reboot\n')
    await exit
    this.#server.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.process)
    this.#socket.destroy()
    this.#server.close()
  }
}

function qemuArguments(backEnd: VsockBackEnd, console: string): string[] {
  const ramdisk = join(backEnd.directory, 'ramdisk')
  const program = part(
    join(binaries, 'examples/guest_test'),
    'cargo build --release --examples -p cloister-vsock',
  )
  writeFileSync(ramdisk, ramdiskOf(program))
  const blobs = process.env['CLOISTER_BLOBS'] ?? join(repository, 'build/blobs')
  const memory = String(guestMemoryMib)
  return [
    ...['-M', 'microvm,acpi=off,isa-serial=on,auto-kernel-cmdline=off,memory-backend=m'],
    ...['-accel', 'tcg', '-cpu', cpu, '-m', memory, '-nodefaults', '-no-user-config'],
    ...['-object', `memory-backend-memfd,id=m,size=${memory}M,share=on`],
    ...['-display', 'none', '-no-reboot', '-serial', `file:${console}`],
    ...['-qmp', `unix:${join(backEnd.directory, 'qmp')},server=on,wait=off`],
    ...['-kernel', part(join(blobs, 'vmlinux'), 'npm run setup'), '-initrd', ramdisk],
    ...['-append', cmdline, '-chardev', `socket,id=c0,path=${backEnd.vhostUser}`],
    ...['-device', 'vhost-user-vsock-device,chardev=c0'],
  ]
}

async function waitForFile(path: string): Promise<void> {
  while (!existsSync(path)) await new Promise((fulfil) => setTimeout(fulfil, 5))
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

interface Resolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers<T>(): Resolvers<T> {
  const holder: { resolve?: (value: T) => void } = {}
  const promise = new Promise<T>((fulfil) => (holder.resolve = fulfil))
  return { promise, resolve: (value) => holder.resolve?.(value) }
}
