// What a forwarding is, and how people write it, as ssh's -L and -R: one end on the host, the other a
// vsock port.

import { CloisterError } from '../errors.ts'
import { reservedPorts } from './port-list.ts'

/** A TCP address or a unix socket of the host. */
export type HostEnd = { readonly host: string; readonly port: number } | { readonly path: string }

export interface Forwarding {
  readonly hostEnd: HostEnd
  /** Of the guest, or of its parent when the guest dials. */
  readonly vsockPort: number
}

const LOOPBACK = '127.0.0.1'
/** The one above is VMADDR_PORT_ANY of vsock(7). */
const MAX_VSOCK_PORT = 0xfffffffe

/**
 * `[address:]port:guest-port` or `/path:guest-port`: what connects to the host's end reaches the guest.
 * Without an address it listens at 127.0.0.1; at port 0 the kernel chooses one.
 *
 * @throws `ERR_VSOCK_FORWARD`
 */
export function parseToGuest(text: string): Forwarding {
  const [, hostEnd = '', port = ''] = /^(.+):(\d{1,10})$/.exec(text) ?? []
  return { hostEnd: parseHostEnd(hostEnd, text), vsockPort: parseVsockPort(port, text) }
}

/**
 * `parent-port:[host:]port` or `parent-port:/path`: the guest that dials the port of its parent reaches
 * the host's end. Without a host it is 127.0.0.1.
 *
 * @throws `ERR_VSOCK_FORWARD` also for a port of the parent that is Cloister's own
 */
export function parseToHost(text: string): Forwarding {
  const [, port = '', hostEnd = ''] = /^(\d{1,10}):(.+)$/.exec(text) ?? []
  const forwarding = { hostEnd: parseHostEnd(hostEnd, text), vsockPort: parseVsockPort(port, text) }
  if ('port' in forwarding.hostEnd && forwarding.hostEnd.port === 0) throw invalid(text)
  if (!Object.values<number>(reservedPorts).includes(forwarding.vsockPort)) return forwarding
  throw new CloisterError('ERR_VSOCK_FORWARD', `port ${port} of the parent is reserved`, {
    hint: 'Choose another port of the parent: 9000 to 9003 are served by Cloister itself.',
    details: { forwarding: text },
  })
}

/** A path, or `host:port` with an IPv6 address in brackets. */
export function describeHostEnd(end: HostEnd): string {
  if ('path' in end) return end.path
  return `${end.host.includes(':') ? `[${end.host}]` : end.host}:${String(end.port)}`
}

/**
 * Refuses two forwardings that would listen at the same place; port 0 is another one each time.
 *
 * @throws `ERR_CLI_ARGUMENT`
 */
export function checkDistinct(toGuest: readonly Forwarding[], toHost: readonly Forwarding[]): void {
  const hostEnds = toGuest.flatMap(({ hostEnd }) =>
    'port' in hostEnd && hostEnd.port === 0 ? [] : [describeHostEnd(hostEnd)],
  )
  const parentPorts = toHost.map(({ vsockPort }) => `port ${String(vsockPort)} of the parent`)
  for (const places of [hostEnds, parentPorts]) {
    const twice = places.find((place, index) => places.indexOf(place) !== index)
    if (twice === undefined) continue
    throw new CloisterError('ERR_CLI_ARGUMENT', `two forwardings have ${twice}`, {
      hint: 'Give each -L its own port or path of the host, and each -R its own port of the parent.',
    })
  }
}

function parseHostEnd(end: string, text: string): HostEnd {
  if (end.startsWith('/')) return { path: end }
  const [, bracketed, name = bracketed ?? LOOPBACK, digits = ''] =
    /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):)?(\d{1,10})$/.exec(end) ?? []
  const port = Number(digits)
  if (digits !== '' && port <= 0xffff) return { host: name, port }
  throw invalid(text, digits === '' ? undefined : `${digits} is not a port (at most 65535)`)
}

function parseVsockPort(digits: string, text: string): number {
  const port = Number(digits)
  if (digits !== '' && port <= MAX_VSOCK_PORT) return port
  throw invalid(text, digits === '' ? undefined : `${digits} is not a vsock port`)
}

function invalid(text: string, reason?: string): CloisterError {
  const fault = `${JSON.stringify(text)} is not a valid forwarding`
  const message = reason === undefined ? fault : `${fault}: ${reason}`
  return new CloisterError('ERR_VSOCK_FORWARD', message, { details: { forwarding: text } })
}
