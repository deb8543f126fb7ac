// Lists of vsock ports as people write them: `all`, `none` or ports and ranges such as
// `8000,9100-9110`. They travel as text; the vsock card owns what is open (cards/vsock/src/policy.rs).

import { CloisterError } from '../errors.ts'

/** Ports of the parent that belong to Cloister itself. */
export const reservedPorts = { heartbeat: 9000, nsm: 9001, agent: 9002, network: 9003 } as const

/** Ports of the guest that belong to Cloister itself. */
export const reservedGuestPorts = { ingress: 9004 } as const

/** Ports of each side, as lists. */
export interface PortLists {
  /** Ports of the parent that the guest may dial. */
  readonly parentPorts: string
  /** Ports of the guest that the host may dial. */
  readonly guestPorts: string
}

export const noPorts: PortLists = { parentPorts: 'none', guestPorts: 'none' }

/** VMADDR_PORT_ANY of vsock(7) is the last one; nothing can listen there. */
const MAX_PORT = 0xffffffff
/** The card takes no more. */
const MAX_RANGES = 256

/**
 * The list itself, when it is one.
 *
 * @throws `ERR_VSOCK_PORTS`
 */
export function checkPortList(text: string): string {
  if (text === 'all' || text === 'none') return text
  const ranges = text.split(',')
  if (ranges.length > MAX_RANGES) {
    throw invalid(
      `the port list has ${String(ranges.length)} ranges; at most ${String(MAX_RANGES)} are allowed`,
      text,
    )
  }
  if (ranges.every(isRange)) return text
  throw invalid(`${JSON.stringify(text)} is not a valid port list`, text)
}

/** Whether a valid list has the port. */
export function listsPort(list: string, port: number): boolean {
  if (list === 'all' || list === 'none') return list === 'all'
  return list.split(',').some((range) => {
    const [first = '', last = first] = range.split('-')
    return Number(first) <= port && port <= Number(last)
  })
}

function isRange(text: string): boolean {
  const [, first = '', last = first] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text) ?? []
  return first !== '' && Number(first) <= Number(last) && Number(last) <= MAX_PORT
}

function invalid(message: string, ports: string): CloisterError {
  return new CloisterError('ERR_VSOCK_PORTS', message, { details: { ports } })
}
