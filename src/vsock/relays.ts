// A listener whose connections are each joined to another one, up to a limit. Further connections wait
// for their turn, up to another limit, and hold no more than the buffers of their sockets meanwhile.

import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { CloisterError } from '../errors.ts'
import { describeHostEnd, type HostEnd } from './forward-spec.ts'
import { cannotListen, removeAbandoned, unlinkAtExit } from './listening-place.ts'
import { relay, reset } from './relay.ts'

/** A connection holds at most about 256 KiB in this process. */
const MAX_CONNECTIONS = 256
/** How long connections have to end by themselves once nothing listens any more. */
const DRAIN_MS = 2000
/** A peer that went away without a word does not hold its place for ever. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const

const SECOND_FORWARD = 'Close some of them; a second `cloister forward` has its own limit.'

export interface RelayOptions {
  /** Makes the other side of a new connection. */
  readonly connect: () => Promise<Socket>
  /** Takes why a connection was not joined. */
  readonly onFailure: (error: unknown) => void
  /** Joined at a time; 256 by default. */
  readonly maxConnections?: number
  /** How many more may wait for their turn; none by default. Further ones are closed at once. */
  readonly maxWaiting?: number
  /** What to do when too many are open, in the words of the command. */
  readonly limitHint?: string
}

/** What has gone through a listener. */
export interface Traffic {
  /** Joined, or being joined, at present. */
  readonly connections: number
  readonly waiting: number
  /** Since it listens, those that are open included. */
  readonly accepted: number
  /** Closed at once because too many were open. */
  readonly dropped: number
  /** From what connected to us. */
  readonly bytesIn: number
  /** To what connected to us. */
  readonly bytesOut: number
}

/**
 * Joins each connection that it accepts to one that `connect` makes. What fails is passed to
 * `onFailure`; disposing of it closes the listener.
 */
export class Relays implements AsyncDisposable {
  readonly #options: RelayOptions
  readonly #maxConnections: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Accepted and not yet closed. */
  readonly #accepted = new Set<Socket>()
  readonly #waiting: (() => void)[] = []
  readonly #totals = { accepted: 0, dropped: 0, bytesIn: 0, bytesOut: 0 }
  #joined = 0
  #hostEnd: HostEnd = { path: '' }
  #forget: () => void = () => undefined

  constructor(options: RelayOptions) {
    this.#options = options
    this.#maxConnections = options.maxConnections ?? MAX_CONNECTIONS
    const sockets = { allowHalfOpen: true, noDelay: true, ...KEEP_ALIVE }
    this.#server = createServer(sockets, (socket) => void this.#serve(socket))
    this.#server.maxConnections = this.#maxConnections + (options.maxWaiting ?? 0)
    this.#server.on('drop', () => {
      this.#totals.dropped++
      options.onFailure(this.#tooMany())
    })
  }

  /** Where it listens, with the port that was chosen for port 0. */
  get hostEnd(): HostEnd {
    return this.#hostEnd
  }

  get traffic(): Traffic {
    const open = [...this.#accepted]
    const sum = (key: 'bytesRead' | 'bytesWritten'): number =>
      open.reduce((total, socket) => total + socket[key], 0)
    const { bytesIn, bytesOut, ...counts } = this.#totals
    return {
      ...counts,
      connections: this.#joined,
      waiting: this.#waiting.length,
      bytesIn: bytesIn + sum('bytesRead'),
      bytesOut: bytesOut + sum('bytesWritten'),
    }
  }

  /**
   * A unix socket that a killed program left behind is replaced.
   *
   * @param mode - Of a unix socket.
   * @throws `ERR_VSOCK_LISTEN`
   */
  async listen(end: HostEnd, mode: number): Promise<this> {
    try {
      if ('path' in end) await removeAbandoned(end.path)
      this.#bind(end, mode)
      await once(this.#server, 'listening')
    } catch (cause) {
      throw cannotListen(end, cause)
    }
    this.#server.on('error', this.#options.onFailure)
    const address = this.#server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    this.#hostEnd = 'path' in end || port === undefined ? end : { host: end.host, port }
    if ('path' in end) this.#forget = unlinkAtExit(end.path)
    return this
  }

  /** The socket has its mode from the start: its directory may belong to another user. */
  #bind(end: HostEnd, mode: number): void {
    const before = process.umask(0o777 & ~mode)
    try {
      this.#server.listen(end)
    } finally {
      process.umask(before)
    }
  }

  async #serve(socket: Socket): Promise<void> {
    this.#keepAccepted(socket)
    await this.#turn()
    try {
      if (socket.destroyed) return
      const other = await this.#options.connect()
      this.#keep(other)
      await relay(socket, other)
    } catch (error) {
      reset(socket)
      this.#options.onFailure(error)
    } finally {
      this.#joined--
      this.#waiting.shift()?.()
    }
  }

  async #turn(): Promise<void> {
    if (this.#joined >= this.#maxConnections)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#joined++
  }

  #keepAccepted(socket: Socket): void {
    this.#keep(socket)
    this.#totals.accepted++
    this.#accepted.add(socket)
    socket.once('close', () => {
      this.#accepted.delete(socket)
      this.#totals.bytesIn += socket.bytesRead
      this.#totals.bytesOut += socket.bytesWritten
    })
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#sockets.delete(socket))
  }

  /** What has been sent still arrives, within two seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#forget()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    const timer = setTimeout(() => {
      this.resetAll()
    }, DRAIN_MS)
    await closed
    clearTimeout(timer)
    this.resetAll()
  }

  #tooMany(): CloisterError {
    const limit = String(this.#server.maxConnections)
    const message = `${describeHostEnd(this.#hostEnd)} has ${limit} connections, the maximum`
    const hint = this.#options.limitHint ?? SECOND_FORWARD
    return new CloisterError('ERR_VSOCK_FORWARD', message, { hint })
  }

  /** Cuts every connection off. */
  resetAll(): void {
    for (const socket of this.#sockets) reset(socket)
  }
}
