// What the vsock card reports of itself. It works for the guest's packets, so its words are checked
// before anybody prints them.

import { CloisterError } from '../errors.ts'
import { checkPortList } from './port-list.ts'

const counterNames = [
  'packetsFromGuest',
  'packetsToGuest',
  'bytesToHost',
  'bytesToGuest',
  'openedByGuest',
  'openedByHost',
  'refusedByPolicy',
  'refusedWithoutListener',
  'refusedByLimit',
  'malformed',
  'violations',
  'droppedResets',
] as const
const limitNames = ['connections', 'connectionsPerSecond', 'bufferBytes'] as const
const connectionNumbers = [
  'parentCid',
  'parentPort',
  'guestPort',
  'bytesToGuest',
  'bytesToHost',
  'bufferedBytes',
  'windowBytes',
  'ageMs',
] as const
const diallers = ['guest', 'host'] as const
const states = ['opening', 'established', 'draining'] as const
const reasons = ['closed', 'unserved', 'denied'] as const

type Counts<Names extends readonly string[]> = Readonly<Record<Names[number], number>>

export type CardCounters = Counts<typeof counterNames>

/** The card's policy, limits and totals. */
export interface CardStatus {
  readonly parentPorts: string
  readonly guestPorts: string
  readonly limits: Counts<typeof limitNames>
  /** Open at present. */
  readonly connections: number
  /** Held for slow readers on the host. */
  readonly bufferedBytes: number
  /** Since the card started. */
  readonly counters: CardCounters
}

/** One connection of the guest, as the card reports it. */
export interface CardConnection extends Counts<typeof connectionNumbers> {
  readonly dialledBy: (typeof diallers)[number]
  readonly state: (typeof states)[number]
}

/** A connection that was refused, reported once per port and reason. */
export interface Refusal {
  readonly dialledBy: (typeof diallers)[number]
  /** Of the parent when the guest dialled it, else of the guest. */
  readonly port: number
  /** Closed by the policy; nobody listens; the listener's permissions keep the card out. */
  readonly reason: (typeof reasons)[number]
}

/** @throws `ERR_VSOCK_CONTROL` */
export function parseCardStatus(value: unknown): CardStatus {
  const fields = fieldsOf(value)
  return {
    parentPorts: ports(fields['parentPorts']),
    guestPorts: ports(fields['guestPorts']),
    limits: counts(fields['limits'], limitNames),
    ...counts(fields, ['connections', 'bufferedBytes'] as const),
    counters: counts(fields['counters'], counterNames),
  }
}

/** @throws `ERR_VSOCK_CONTROL` */
export function parseCardConnections(value: unknown): readonly CardConnection[] {
  if (!Array.isArray(value)) throw malformed()
  return value.map((item) => {
    const fields = fieldsOf(item)
    return {
      dialledBy: oneOf(diallers, fields['dialledBy']),
      state: oneOf(states, fields['state']),
      ...counts(fields, connectionNumbers),
    }
  })
}

/** @throws `ERR_VSOCK_CONTROL` */
export function parseRefusal(value: unknown): Refusal {
  const fields = fieldsOf(value)
  return {
    dialledBy: oneOf(diallers, fields['dialledBy']),
    ...counts(fields, ['port'] as const),
    reason: oneOf(reasons, fields['reason']),
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw malformed()
  return value as Readonly<Record<string, unknown>>
}

function counts<Names extends readonly string[]>(value: unknown, names: Names): Counts<Names> {
  const fields = fieldsOf(value)
  const entries = names.map((name) => {
    const count = fields[name]
    if (!Number.isSafeInteger(count) || Number(count) < 0) throw malformed()
    return [name, count]
  })
  return Object.fromEntries(entries) as Counts<Names>
}

function oneOf<T extends string>(known: readonly T[], value: unknown): T {
  const found = known.find((item) => item === value)
  if (found === undefined) throw malformed()
  return found
}

function ports(value: unknown): string {
  return checkPortList(String(value))
}

function malformed(): CloisterError {
  return new CloisterError('ERR_VSOCK_CONTROL', 'the vsock card sent a malformed reply')
}

/** What goes on at the vsock of an enclave. */
export interface VsockReport extends CardStatus {
  /** Every connection, when asked for. */
  readonly connectionList?: readonly CardConnection[]
}
