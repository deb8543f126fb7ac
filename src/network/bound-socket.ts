// A socket of the host that is bound and does nothing: a child process that inherits it listens there, and one that
// follows it finds the same socket, with who waits there. Node itself has none, so it is of the kind that its cluster
// module shares with workers.

import dgram from 'node:dgram'
import net, { isIPv6 } from 'node:net'
import { getSystemErrorMap } from 'node:util'
import { CloisterError } from '../errors.ts'
import { portFault } from '../subprocess/index.ts'
import { describePublication, type Publication } from './publication.ts'

/** A publication with the port that it has; disposing of it frees the port. */
export interface BoundSocket extends Publication, AsyncDisposable {
  readonly fd: number
}

/** Of libuv, as the cluster module has it. */
interface Handle {
  readonly fd: number
  readonly getsockname: (to: { port?: number }) => number
  readonly close: () => void
}

/** Returns a handle, or the negative number of an error. */
type MakeHandle = (
  ...words: readonly [
    address: string,
    port: number,
    kind: 4 | 6 | 'udp4' | 'udp6',
    fd: -1,
    flags: number,
  ]
) => Handle | number

/** So that `[::]` and `0.0.0.0` can have the same port. */
const IPV6_ONLY = 1

/** @throws `ERR_NETWORK_LISTEN` */
export function bindSocket(publication: Publication): BoundSocket {
  const handle = makeHandle(publication)
  if (typeof handle === 'number') throw cannotListen(publication, handle)
  const name: { port?: number } = {}
  // libuv keeps an error of bind(2) for whoever asks next; a socket without a name would listen anywhere.
  const errno = handle.getsockname(name)
  if (errno !== 0) {
    handle.close()
    throw cannotListen(publication, errno)
  }
  let isClosed = false
  return {
    ...publication,
    port: name.port ?? publication.port,
    fd: handle.fd,
    [Symbol.asyncDispose]() {
      if (!isClosed) handle.close()
      isClosed = true
      return Promise.resolve()
    },
  }
}

function makeHandle({ address, port, protocol }: Publication): Handle | number {
  const flags = isIPv6(address) ? IPV6_ONLY : 0
  if (protocol === 'tcp') {
    const { _createServerHandle: make } = net as unknown as {
      readonly _createServerHandle: MakeHandle
    }
    return make(address, port, isIPv6(address) ? 6 : 4, -1, flags)
  }
  const { _createSocketHandle: make } = dgram as unknown as {
    readonly _createSocketHandle: MakeHandle
  }
  return withoutWarning(() => make(address, port, isIPv6(address) ? 'udp6' : 'udp4', -1, flags))
}

/** DEP0112: the function is to be internal, and there is no other. */
function withoutWarning<T>(call: () => T): T {
  const { noDeprecation = false } = process
  process.noDeprecation = true
  try {
    return call()
  } finally {
    process.noDeprecation = noDeprecation
  }
}

function cannotListen(publication: Publication, errno: number): CloisterError {
  const { address, port, protocol } = publication
  const cause = new SystemError(errno)
  const { reason, hint } = portFault(cause, publication)
  const message = `cannot publish at ${describePublication(publication)}: ${reason}`
  return new CloisterError('ERR_NETWORK_LISTEN', message, {
    details: { address, port, protocol, errno: cause.code },
    ...(hint === undefined ? {} : { hint }),
  })
}

/** As Node throws one. */
class SystemError extends Error {
  readonly code: string

  constructor(errno: number) {
    const [code, words] = getSystemErrorMap().get(errno) ?? [
      String(errno),
      `error ${String(errno)}`,
    ]
    super(words)
    this.code = code
  }
}
