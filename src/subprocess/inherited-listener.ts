// A listening unix socket for a child process to inherit. Node cannot pass on one end of a socket
// pair of its own making, but a socket that listens and has no name any more is as private: only
// who connected before its name went, and who inherited it, have it.

import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { CloisterError } from '../errors.ts'

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

/** Listens at `path`, for one child. */
export async function listenForChild(path: string): Promise<InheritedListener> {
  const server = createServer((socket) => socket.destroy())
  server.listen(path)
  await once(server, 'listening')
  const release = (): void => {
    server.close()
    rmSync(path, { force: true })
  }
  const fd = descriptorOf(server)
  if (fd !== undefined) return { fd, release }
  release()
  throw new CloisterError('ERR_INTERNAL', 'this Node.js does not expose the descriptor of a socket')
}

/** Not documented, and what every version from 0.10 to 24 has. */
function descriptorOf(server: Server): number | undefined {
  const { _handle: handle } = server as unknown as { readonly _handle?: { readonly fd?: unknown } }
  return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined
}
