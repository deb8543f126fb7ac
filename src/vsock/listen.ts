// Guest to host: a guest that dials port P of its parent reaches the listener on the unix socket
// `<vsock socket>_<P>`, if the enclave's policy lets it.

import { lchownSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { CloisterError, reasonOf } from '../errors.ts'

/** sockaddr_un.sun_path holds 108 bytes with its NUL (unix(7)). */
export const SUN_PATH_MAX_BYTES = 107

export interface PortOptions {
  /** The enclave's vsock socket; the listener is made beside it. */
  readonly socketPath: string
  readonly port: number
  /** User of the vsock card, who must be able to connect; absent when it runs as ours. */
  readonly cardUid?: number | undefined
  /** Connections served at a time; more are closed at once. */
  readonly maxConnections: number
}

type Serve = (socket: Socket) => Promise<void>

/** A port of the parent that is served until it is disposed of, and its connections with it. */
class GuestPort implements AsyncDisposable {
  readonly #server: Server
  readonly #connections = new Set<Socket>()
  /** What is being done for connections, open or closed meanwhile. */
  readonly #services = new Set<Promise<void>>()

  constructor(maxConnections: number, serve: Serve) {
    this.#server = createServer((socket) => {
      this.#connections.add(socket)
      socket.once('close', () => this.#connections.delete(socket))
      socket.on('error', () => socket.destroy())
      void this.#serve(socket, serve)
    })
    this.#server.maxConnections = maxConnections
  }

  /**
   * A service outlives its connection while it works for a last request. A guest that dials, asks and
   * hangs up without end therefore waits for it, or what it asked for would pile up.
   */
  async #serve(socket: Socket, serve: Serve): Promise<void> {
    while (this.#services.size >= this.#server.maxConnections) await Promise.race(this.#services)
    if (socket.destroyed) return
    const service = serve(socket).catch(() => {
      socket.destroy()
    })
    this.#services.add(service)
    await service
    this.#services.delete(service)
  }

  async listen(path: string): Promise<void> {
    this.#server.listen(path)
    await once(this.#server, 'listening')
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#connections) socket.destroy()
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve()
      })
    })
  }
}

/**
 * Serves a port of the parent until the returned handle is disposed of. A service that throws
 * closes its connection.
 *
 * @throws `ERR_VSOCK_LISTEN` when the socket cannot be made, `ERR_VSOCK_PATH`.
 */
export async function listenForGuest(
  { socketPath, port, cardUid, maxConnections }: PortOptions,
  serve: (socket: Socket) => Promise<void>,
): Promise<AsyncDisposable> {
  const path = `${socketPath}_${String(port)}`
  checkSocketPath(path)
  const guestPort = new GuestPort(maxConnections, serve)
  try {
    await guestPort.listen(path)
    if (cardUid !== undefined) lchownSync(path, cardUid, cardUid)
    return guestPort
  } catch (cause) {
    await guestPort[Symbol.asyncDispose]()
    throw new CloisterError(
      'ERR_VSOCK_LISTEN',
      `cannot serve port ${String(port)}: ${reasonOf(cause)}`,
      { cause, details: { port, path } },
    )
  }
}

/** @throws `ERR_VSOCK_PATH` when the path is too long for a unix socket. */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= SUN_PATH_MAX_BYTES) return
  throw new CloisterError(
    'ERR_VSOCK_PATH',
    `${path} has ${String(bytes)} bytes; a unix socket's path holds ${String(SUN_PATH_MAX_BYTES)}`,
    { details: { path, bytes, maxBytes: SUN_PATH_MAX_BYTES } },
  )
}
