// A listening unix socket for a child process to inherit. Node cannot pass on one end of a socket
// pair of its own making, but a socket that listens and has no name any more is as private: only
// who connected before its name went, and who inherited it, have it.

import { once } from 'node:events'
import { lchownSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { CloisterError } from '../errors.ts'

/** What the kernel takes at most, unless it was told otherwise (net.core.somaxconn). */
const BACKLOG = 4096

/** A listening descriptor, which stays ours until it is released. */
export interface InheritedListener {
  /** For the child's `extraStdio`. */
  readonly fd: number
  /**
   * Closes our descriptor and removes the socket's name. Until then, and as soon as the event loop
   * turns, connections would be ours instead of the child's.
   */
  readonly release: () => void
}

/** A listener that keeps a name, for other processes to connect to. */
export interface NamedListener {
  /** Takes the place of what is there, at once. */
  readonly path: string
  /** Who may connect; absent: we. */
  readonly uid?: number | undefined
}

/**
 * Listens at `path`, for one child; `named` is a second name, which stays when the listener is released.
 */
export async function listenForChild(
  path: string,
  named?: NamedListener,
): Promise<InheritedListener> {
  const server = createServer((socket) => socket.destroy())
  server.listen({ path, backlog: BACKLOG })
  await once(server, 'listening')
  const release = (): void => {
    server.close()
    rmSync(path, { force: true })
  }
  if (named !== undefined) rename(path, named)
  const fd = descriptorOf(server)
  if (fd !== undefined) return { fd, release }
  release()
  throw new CloisterError('ERR_INTERNAL', 'this Node.js does not expose the descriptor of a socket')
}

function rename(from: string, { path, uid }: NamedListener): void {
  if (uid !== undefined) lchownSync(from, uid, uid)
  renameSync(from, path)
}

/** Not documented, and what every version from 0.10 to 24 has. */
function descriptorOf(server: Server): number | undefined {
  const { _handle: handle } = server as unknown as { readonly _handle?: { readonly fd?: unknown } }
  return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined
}
