// What may be asked of a keeper, and what it answers: one line of JSON each.

import type { ErrorData } from '../error-data.ts'
import { CloisterError } from '../errors.ts'
import { checkPortList, type PortLists } from '../vsock/index.ts'

export type KeeperRequest =
  | { readonly command: 'terminate'; readonly graceMs: number }
  | { readonly command: 'console' }
  | { readonly command: 'inspect' }
  | { readonly command: 'vsock'; readonly connections: boolean }
  | ({ readonly command: 'open-ports' | 'close-ports' } & PortLists)

/** @throws `ERR_KEEPER_CONTROL` when the line is not a request, `ERR_VSOCK_PORTS`. */
export function parseKeeperRequest(line: string): KeeperRequest {
  const fields = parseObject(line)
  const { command, graceMs, connections, parentPorts, guestPorts } = fields
  switch (command) {
    case 'console':
    case 'inspect':
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
        return {
          command,
          parentPorts: checkPortList(parentPorts),
          guestPorts: checkPortList(guestPorts),
        }
      }
  }
  throw malformed()
}

export type KeeperReply =
  | {
      readonly ok: true
      /** What was asked for, by `vsock`, `inspect`, `open-ports` and `close-ports`. */
      readonly result?: unknown
    }
  | { readonly ok: false; readonly error: ErrorData }

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch (cause) {
    throw malformed(cause)
  }
  throw malformed()
}

function malformed(cause?: unknown): CloisterError {
  return new CloisterError('ERR_KEEPER_CONTROL', 'the keeper does not support this request', {
    cause,
    hint: 'The enclave was started by another version of Cloister: end it with that one, or kill its keeper.',
  })
}
