// What is proxied where: a port of the parent, and the server that a guest reaches through it.

import { isIPv6 } from 'node:net'

/** Which addresses of a server are used. */
export type AddressFamily = 'ipv4' | 'ipv6' | 'any'

export interface Target {
  /** The parent's port that guests connect to. */
  readonly localPort: number
  /** As `normalizeHost` has it. */
  readonly host: string
  /** TCP port. */
  readonly port: number
  readonly family: AddressFamily
  /** Connections of one enclave that are served at a time. */
  readonly maxConnections: number
}

/** `host:port`, with an IPv6 address in brackets. */
export function describeServer({ host, port }: Pick<Target, 'host' | 'port'>): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${String(port)}`
}

/** Whether a listener for one serves the other as well. */
export function isSameTarget(one: Target, other: Target): boolean {
  const keys = ['localPort', 'host', 'port', 'family', 'maxConnections'] as const
  return keys.every((key) => one[key] === other[key])
}
