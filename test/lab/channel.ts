// The host end of `inside/agent.mjs`: commands go to the lab, their output and exit status come back.

import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'

export interface CommandOptions {
  /** `root`, `lab` (in group kvm) or `outsider` (in no other group). */
  readonly user?: string
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  /** Gets the output as it comes, beside the result. */
  readonly onOutput?: (stream: 'stdout' | 'stderr', bytes: Buffer) => void
}

export interface CommandResult {
  /** Null when a signal ended it. */
  readonly status: number | null
  readonly signal: string | null
  readonly timedOut: boolean
  readonly stdout: string
  readonly stderr: string
}

type Message =
  | { readonly ready: true }
  | { readonly id: number; readonly stream: 'stdout' | 'stderr'; readonly data: string }
  | ({ readonly id: number } & Pick<CommandResult, 'status' | 'signal' | 'timedOut'>)

interface Pending {
  readonly chunks: Record<'stdout' | 'stderr', Buffer[]>
  readonly options: CommandOptions
  readonly resolve: (result: CommandResult) => void
  readonly reject: (error: Error) => void
}

const DEFAULT_TIMEOUT_MS = 180_000

export class Channel {
  /** Settles when the agent is there; rejects when the lab ends before. */
  readonly ready: Promise<void>
  readonly #stream: Duplex
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #ended: Error | undefined
  #markReady: () => void = () => undefined
  #failReady: (error: Error) => void = () => undefined

  constructor(stream: Duplex) {
    this.#stream = stream
    this.ready = new Promise((resolve, reject) => {
      this.#markReady = resolve
      this.#failReady = reject
    })
    this.ready.catch(() => undefined)
    stream.on('error', () => stream.destroy())
    createInterface({ input: stream }).on('line', (line) => this.#take(JSON.parse(line) as Message))
  }

  /** Runs `argv`; rejects only when the lab ends. */
  run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const id = this.#nextId++
    const user = options.user ?? 'root'
    const request = {
      ...{ id, argv, user, cwd: homeOf(user) },
      env: { ...environmentOf(user), ...options.env },
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    }
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { chunks: { stdout: [], stderr: [] }, options, resolve, reject })
      this.#stream.write(`${JSON.stringify(request)}\n`)
    })
  }

  /** The lab has ended: whatever is still awaited fails with `error`. */
  end(error: Error): void {
    this.#ended = error
    this.#failReady(error)
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
    this.#stream.destroy()
  }

  #take(message: Message): void {
    if ('ready' in message) return this.#markReady()
    const pending = this.#pending.get(message.id)
    if (pending === undefined) return
    if ('stream' in message) return takeOutput(pending, message.stream, message.data)
    this.#pending.delete(message.id)
    const { status, signal, timedOut } = message
    const stdout = Buffer.concat(pending.chunks.stdout).toString('utf8')
    const stderr = Buffer.concat(pending.chunks.stderr).toString('utf8')
    pending.resolve({ status, signal, timedOut, stdout, stderr })
  }
}

function takeOutput(pending: Pending, stream: 'stdout' | 'stderr', data: string): void {
  const bytes = Buffer.from(data, 'base64')
  pending.chunks[stream].push(bytes)
  pending.options.onOutput?.(stream, bytes)
}

function homeOf(user: string): string {
  return user === 'root' ? '/root' : `/home/${user}`
}

function environmentOf(user: string): Readonly<Record<string, string>> {
  const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  const runtime = user === 'root' ? {} : { XDG_RUNTIME_DIR: `/run/user/${user}` }
  return { PATH: path, HOME: homeOf(user), USER: user, LANG: 'C.UTF-8', ...runtime }
}
