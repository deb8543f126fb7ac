// Which process listens on a unix socket, to explain why a port is taken. Reads /proc: the
// listening sockets by their paths (proc_net(5)).

import { readFileSync, statSync } from 'node:fs'
import type { AliveRecord } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import { ownerOfSocket } from '../subprocess/index.ts'

/** SO_ACCEPTCON in the flags of /proc/net/unix. */
const LISTENING = '00010000'

interface Place {
  readonly path: string
  readonly localPort: number
  readonly record: AliveRecord
}

/** An `ERR_VSOCK_LISTEN` for a port that somebody serves, with who it is; any other error as it is. */
export function explainClash(error: unknown, { path, localPort, record }: Place): unknown {
  const isTaken = (error as { readonly cause?: NodeJS.ErrnoException }).cause?.code === 'EADDRINUSE'
  if (!(error instanceof CloisterError) || !isTaken) return error
  const { name } = record.description
  const by = whoServes(path) ?? 'another program'
  const message = `port ${String(localPort)} of the parent is already served for ${name} by ${by}`
  return new CloisterError('ERR_VSOCK_LISTEN', message, {
    cause: error.cause,
    details: { path, localPort },
    hint: 'End that program, choose another local port, or serve other enclaves with --enclave-name.',
  })
}

/** `process 1234 (socat)`, where it can be seen. */
function whoServes(path: string): string | undefined {
  try {
    const inode = listeningInode(path)
    return inode === undefined ? undefined : ownerOfSocket(inode)
  } catch {
    return undefined // it has gone meanwhile
  }
}

/** Sockets under `cloister parent` have other names, which are links to the same file. */
function listeningInode(path: string): string | undefined {
  const { dev, ino } = statSync(path)
  const isSame = (name: string): boolean => {
    const found = statSync(name, { throwIfNoEntry: false })
    return found?.dev === dev && found.ino === ino
  }
  for (const line of readFileSync('/proc/net/unix', 'utf8').split('\n')) {
    const [, , , flags, , , inode, ...words] = line.trim().split(/\s+/)
    const name = words.join(' ')
    if (flags === LISTENING && name.startsWith('/') && isSame(name)) return inode
  }
  return undefined
}
