// Where the host may publish an application's ports: `ingress` of a manifest, as text and as it is measured and as
// cards/ingress-wire reads it.

import { isDeepStrictEqual } from 'node:util'
import { asList, asObject, asWhole, demand } from './decode.ts'

export type IngressProtocol = 'tcp' | 'udp'

/** A port of the guest's loopback. */
export interface IngressPort {
  readonly port: number
  /** Absent: TCP; never measured as `tcp`. */
  readonly protocol?: IngressProtocol
  /** A header in front of each connection says who the client is. */
  readonly proxyProtocol?: 'v2'
}

export interface IngressText {
  readonly ports?: readonly (number | IngressPort)[]
}

/** Sorted by number and protocol. */
export interface IngressPorts {
  readonly ports: readonly IngressPort[]
}

const MAX_PORTS = 64
const MAX_PORT = 65_535
/** Cloister's own, for programs in the enclave alone: the guest's API, and the proxy. */
const OWN_PORTS: readonly number[] = [9010, 9011]

/** Whether a list of valid ports may be published. The schema's keyword `publishablePorts`. */
export function arePublishable(ports: readonly (number | IngressPort)[]): boolean {
  const all = ports.map(asPort)
  const isOwn = ({ port }: IngressPort): boolean => OWN_PORTS.includes(port)
  const hasHeader = ({ protocol, proxyProtocol }: IngressPort): boolean =>
    protocol === 'udp' && proxyProtocol !== undefined
  const names = new Set(all.map(nameOf))
  return names.size === all.length && !all.some((port) => isOwn(port) || hasHeader(port))
}

/** The measured form of a valid text. */
export function canonicalIngress({ ports = [] }: IngressText): IngressPorts {
  const sorted = ports
    .map(asPort)
    .toSorted((a, b) => a.port - b.port || nameOf(a).localeCompare(nameOf(b), 'en'))
  return {
    ports: sorted.map(({ port, protocol, proxyProtocol }) => ({
      port,
      ...(protocol === 'udp' && { protocol }),
      ...(proxyProtocol !== undefined && { proxyProtocol }),
    })),
  }
}

/**
 * Reads the ports in an image's manifest, which must be in their one form. Hostile input.
 *
 * @throws `ERR_EIF_MANIFEST`
 */
export function decodeIngress(value: unknown): IngressPorts {
  const { ports, ...others } = asObject(value, 'ingress')
  demand(Object.keys(others).length === 0, 'ingress')
  const ingress = { ports: asList(ports, MAX_PORTS, 'ingress').map(decodePort) }
  demand(arePublishable(ingress.ports), 'ingress')
  demand(isDeepStrictEqual(canonicalIngress(ingress), ingress), 'ingress')
  return ingress
}

function decodePort(value: unknown): IngressPort {
  const { port, protocol, proxyProtocol, ...others } = asObject(value, 'ingress')
  demand(Object.keys(others).length === 0, 'ingress')
  demand(protocol === undefined || protocol === 'udp', 'ingress')
  demand(proxyProtocol === undefined || proxyProtocol === 'v2', 'ingress')
  const number = asWhole(port, MAX_PORT, 'ingress')
  demand(number > 0, 'ingress')
  return {
    port: number,
    ...(protocol !== undefined && { protocol }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
  }
}

function asPort(port: number | IngressPort): IngressPort {
  return typeof port === 'number' ? { port } : port
}

function nameOf({ port, protocol = 'tcp' }: IngressPort): string {
  return `${String(port)}/${protocol}`
}
