// What may be asked of a keeper: one line of JSON.

import { parsePortSet, policyTexts, type PortPolicy } from '../vsock/index.ts'

export type KeeperRequest =
  | { readonly command: 'terminate'; readonly graceMs: number }
  | { readonly command: 'console' }
  | { readonly command: 'vsock'; readonly connections: boolean }
  | { readonly command: 'open-ports' | 'close-ports'; readonly ports: PortPolicy }

/** One line, without its end. Sets of ports travel as text. */
export function encodeKeeperRequest(request: KeeperRequest): string {
  if (!('ports' in request)) return JSON.stringify(request)
  return JSON.stringify({ command: request.command, ...policyTexts(request.ports) })
}

/** @throws Error when the line is no request, `ERR_VSOCK_PORTS`. */
export function parseKeeperRequest(line: string): KeeperRequest {
  const fields = JSON.parse(line) as Readonly<Record<string, unknown>>
  const { command, graceMs, connections, parentPorts, guestPorts } = fields
  switch (command) {
    case 'console':
      return { command }
    case 'terminate':
      if (Number.isSafeInteger(graceMs) && (graceMs as number) >= 0)
        return { command, graceMs: graceMs as number }
      break
    case 'vsock':
      if (typeof connections === 'boolean') return { command, connections }
      break
    case 'open-ports':
    case 'close-ports':
      if (typeof parentPorts === 'string' && typeof guestPorts === 'string') {
        const ports = {
          parentPorts: parsePortSet(parentPorts),
          guestPorts: parsePortSet(guestPorts),
        }
        return { command, ports }
      }
  }
  throw new Error('it is no request')
}

export interface KeeperReply {
  readonly ok: boolean
  readonly error?: string
  /** What was asked for, by `vsock`, `open-ports` and `close-ports`. */
  readonly result?: unknown
}
