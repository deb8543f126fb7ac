// Why nothing can listen at an address and port of this host, in words, and what to do about it.

import { reasonOf } from '../errors.ts'
import { KEEPER, whoUsesPort, type InternetPlace } from './socket-owner.ts'

export interface PortFault {
  readonly reason: string
  readonly hint?: string
}

const faults: Readonly<Record<string, (place: InternetPlace) => PortFault>> = {
  EADDRINUSE: (place) => {
    const owner = whoUsesPort(place)
    const end = owner.includes(KEEPER)
      ? 'Terminate that enclave (`cloister describe-enclaves` lists them)'
      : 'End that program'
    return {
      reason: `${owner} uses the port`,
      hint: `${end}, choose another port, or give port 0 for a free one.`,
    }
  },
  EACCES: ({ port }) => ({
    reason: `only root may listen on port ${String(port)} here`,
    hint: 'Choose a port from 1024 on, or run it as root or with CAP_NET_BIND_SERVICE.',
  }),
  EADDRNOTAVAIL: ({ address }) => ({
    reason: `${address} is not an address of this host`,
    hint: 'Choose one that `ip address` lists.',
  }),
  EAFNOSUPPORT: ({ address }) => ({
    reason: `this host does not support addresses such as ${address}`,
    hint: 'Choose an IPv4 address that `ip address` lists.',
  }),
}

/** @param cause - The system's error, as Node throws it. */
export function portFault(cause: unknown, place: InternetPlace): PortFault {
  const fault = faults[(cause as NodeJS.ErrnoException).code ?? '']
  return fault?.(place) ?? { reason: reasonOf(cause) }
}
