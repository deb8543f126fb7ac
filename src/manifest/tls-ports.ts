// Where attested TLS is served in front of an application: `tls` of a manifest, as text and as it is measured.

import { isDeepStrictEqual } from 'node:util'
import { asList, asObject, asWhole, demand } from './decode.ts'

export interface TlsPort {
  /** Of vsock, and of the guest's loopback. */
  readonly port: number
  /** The application's, on the guest's loopback. */
  readonly to: number
}

const MAX_TLS_PORTS = 16
const MAX_PORT = 65_535
/** The guest's API is for programs in the enclave alone. */
const API_PORT = 9010

/** Whether each port is there once; the application's can be behind several. The schema's keyword `distinctPorts`. */
export function areDistinct(ports: readonly TlsPort[]): boolean {
  const served = new Set(ports.map(({ port }) => port))
  const isFree = ({ to }: TlsPort): boolean => !served.has(to) && to !== API_PORT
  return served.size === ports.length && !served.has(API_PORT) && ports.every(isFree)
}

/** The measured form. */
export function canonicalTls(ports: readonly TlsPort[]): readonly TlsPort[] {
  return ports.toSorted((a, b) => a.port - b.port).map(({ port, to }) => ({ port, to }))
}

/**
 * Reads the ports in an image's manifest, which must be in their one form. Hostile input.
 *
 * @throws `ERR_EIF_MANIFEST`
 */
export function decodeTls(value: unknown): readonly TlsPort[] {
  const ports = asList(value, MAX_TLS_PORTS, 'tls').map((item) => {
    const { port, to, ...others } = asObject(item, 'tls')
    demand(Object.keys(others).length === 0, 'tls')
    return { port: asPort(port), to: asPort(to) }
  })
  demand(ports.length > 0 && areDistinct(ports), 'tls')
  demand(isDeepStrictEqual(canonicalTls(ports), ports), 'tls')
  return ports
}

function asPort(value: unknown): number {
  const port = asWhole(value, MAX_PORT, 'tls')
  demand(port > 0, 'tls')
  return port
}
