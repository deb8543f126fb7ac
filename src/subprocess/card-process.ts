// A card: a helper process that is a vhost-user back end. It inherits its channel to us, at whose end
// it ends, and a socket without a name where the VMM's connection waits: there is no other way to it.

import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { listenForChild } from './inherited-listener.ts'
import { startProcess, type ManagedProcess, type ProcessOptions } from './managed-process.ts'

/** A card's descriptors: the channel to us, and the VMM's way in. */
export const cardFds = { keeper: 3, vhostUser: 4 } as const
/** There for a moment: it loses its name before the card runs. */
const VHOST_USER_SOCKET = 'vmm.sock'

export interface CardProcess {
  readonly process: ManagedProcess
  /** Connected to the card, or about to be, for the VMM to inherit. */
  readonly vmm: Socket
}

/** @throws `ERR_PROCESS_SPAWN` */
export async function startCardProcess(
  options: Omit<ProcessOptions, 'extraStdio'> & { readonly cwd: string },
): Promise<CardProcess> {
  const path = join(options.cwd, VHOST_USER_SOCKET)
  const listener = await listenForChild(path)
  // All before the event loop turns: the card has the listener, and waiting there is the only
  // connection it will ever get.
  const starting = startProcess({ ...options, extraStdio: ['pipe', listener.fd] })
  const vmm = connect(path)
  listener.release()
  try {
    return { process: await starting, vmm }
  } catch (error) {
    vmm.destroy()
    throw error
  }
}

function connect(path: string): Socket {
  const socket = createConnection({ path, allowHalfOpen: true })
  // Nothing may be read here: the stream is the VMM's.
  socket.once('connect', () => socket.pause())
  socket.on('error', () => socket.destroy())
  return socket
}
