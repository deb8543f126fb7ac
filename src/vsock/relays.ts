// A listener whose connections are each joined to another one, at most so many at a time.

import { existsSync, lstatSync, unlinkSync, type Stats } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { CloisterError, reasonOf } from '../errors.ts'
import { describeHostEnd, type HostEnd } from './forward-spec.ts'
import { relay, reset } from './relay.ts'

/** Further ones are closed at once. A connection holds at most about 256 KiB in this process. */
const MAX_CONNECTIONS = 256
/** How long connections have to end by themselves once nothing listens any more. */
const DRAIN_MS = 2000
/** A peer that went away without a word does not hold its place for ever. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const

/**
 * Joins each connection that it accepts to one that `connect` makes, at most 256 at a time. What
 * fails is passed to `onFailure`; disposing of it closes the listener.
 */
export class Relays implements AsyncDisposable {
  readonly #connect: () => Promise<Socket>
  readonly #onFailure: (error: unknown) => void
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #hostEnd: HostEnd = { path: '' }

  /** @param connect - Makes the other side of a new connection. */
  constructor(connect: () => Promise<Socket>, onFailure: (error: unknown) => void) {
    this.#connect = connect
    this.#onFailure = onFailure
    const options = { allowHalfOpen: true, noDelay: true, ...KEEP_ALIVE }
    this.#server = createServer(options, (socket) => void this.#serve(socket))
    this.#server.maxConnections = MAX_CONNECTIONS
    this.#server.on('drop', () => {
      onFailure(tooMany(this.#hostEnd))
    })
  }

  /** Where it listens, with the port that was chosen for port 0. */
  get hostEnd(): HostEnd {
    return this.#hostEnd
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
    this.#server.on('error', this.#onFailure)
    const address = this.#server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    this.#hostEnd = 'path' in end || port === undefined ? end : { host: end.host, port }
    if ('path' in end) unlinkAtExit(end.path)
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
    this.#keep(socket)
    try {
      const other = await this.#connect()
      this.#keep(other)
      await relay(socket, other)
    } catch (error) {
      reset(socket)
      this.#onFailure(error)
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#sockets.delete(socket))
  }

  /** What has been sent still arrives, within two seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    const timer = setTimeout(() => {
      this.#resetAll()
    }, DRAIN_MS)
    await closed
    clearTimeout(timer)
    this.#resetAll()
  }

  #resetAll(): void {
    for (const socket of this.#sockets) reset(socket)
  }
}

/** Removes the socket of a program that was killed. */
async function removeAbandoned(path: string): Promise<void> {
  const abandoned = lstatSync(path, { throwIfNoEntry: false })
  if (abandoned?.isSocket() !== true) return
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') unlinkSame(path, abandoned)
  } finally {
    socket.destroy()
  }
}

function unlinkAtExit(path: string): void {
  const own = lstatSync(path)
  process.once('exit', () => {
    unlinkSame(path, own)
  })
}

/** Unless something else has taken its place. */
function unlinkSame(path: string, { dev, ino }: Stats): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.dev === dev && found.ino === ino) unlinkSync(path)
}

function cannotListen(end: HostEnd, cause: unknown): CloisterError {
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  const isTaken = code === 'EADDRINUSE'
  const reason = isTaken ? whoListens(end) : (noDirectory(end, code) ?? reasonOf(cause))
  const message = `cannot listen at ${describeHostEnd(end)}: ${reason}`
  const hint = isTaken ? freePlace(end) : hintFor(end, code)
  return new CloisterError('ERR_VSOCK_LISTEN', message, {
    ...{ cause, details: { ...end } },
    ...(hint === undefined ? {} : { hint }),
  })
}

function freePlace(end: HostEnd): string {
  return 'path' in end
    ? 'End the other program, or choose another port or path.'
    : 'End the other program, choose another port, or give port 0 for a free one.'
}

/** libuv says EACCES also where the directory is missing (uv__pipe_bind). */
function noDirectory(end: HostEnd, code: string): string | undefined {
  if (!('path' in end) || (code !== 'EACCES' && code !== 'ENOENT')) return undefined
  const directory = dirname(end.path)
  return existsSync(directory)
    ? `the directory ${directory} is not writable`
    : `there is no directory ${directory}`
}

function hintFor(end: HostEnd, code: string): string | undefined {
  if ('path' in end) return 'Choose a path in a directory that exists and that you may write to.'
  if (code === 'EACCES') return 'Only root may listen at ports below 1024 here: choose another one.'
  if (code === 'EADDRNOTAVAIL') return 'Choose an address of this host, as `ip address` lists them.'
  return undefined
}

function whoListens(end: HostEnd): string {
  const file = 'path' in end ? lstatSync(end.path, { throwIfNoEntry: false }) : undefined
  return file?.isSocket() === false ? 'there is a file already' : 'another program listens there'
}

function tooMany(end: HostEnd): CloisterError {
  const limit = String(MAX_CONNECTIONS)
  const message = `${describeHostEnd(end)} has ${limit} connections, as many as it may`
  const hint = 'Close some of them; a second `cloister forward` has its own limit.'
  return new CloisterError('ERR_VSOCK_FORWARD', message, { hint })
}
