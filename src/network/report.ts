// What the network card reports: its flows, and what it refused.

import { CloisterError } from '../errors.ts'

const counterNames = [
  'tcpFlows',
  'udpFlows',
  'lookups',
  'failed',
  'tooMany',
  'bytesFromGuest',
  'bytesToGuest',
] as const

const arrivalCounterNames = [
  'tcp',
  'udp',
  'failed',
  'tooMany',
  'bytesFromGuest',
  'bytesToGuest',
] as const

/** The card names no more destinations one by one. */
const MAX_REFUSALS = 256
/** Each rule of both policies, and none. */
const MAX_RULES = 1026
/** A name, a port and a rule. */
const MAX_TEXT_UNITS = 4096

/** A destination that a policy denies. */
export interface NetworkRefusal {
  /** `NAME:PORT/tcp`, `ADDRESS:PORT/udp`, or a name that was looked up. */
  readonly destination: string
  /** Whose policy denies it: the one measured with the image, or the operator's. */
  readonly by: 'image' | 'host'
  readonly why: string
  /** The rule that decided, as YAML. */
  readonly rule?: string
  /** A rule for `allow` that would allow it, as YAML. */
  readonly wouldAllow?: string
  readonly count: number
}

/** What one rule refused, or the lack of one. */
export interface RefusedByRule {
  readonly by: 'image' | 'host'
  /** `deny[0]`; `allow[0]` where only `private` is missing; `none`. */
  readonly rule: string
  readonly count: number
}

const turnedAwayReasons = [
  'refused',
  'undeclared',
  'tooMany',
  'timedOut',
  'unreachable',
  'malformed',
] as const

/** Why the guest did not take a client of a published port. */
export interface TurnedAway {
  readonly guestPort: number
  readonly protocol: 'tcp' | 'udp'
  readonly why: (typeof turnedAwayReasons)[number]
}

/** Clients of published ports. */
export interface ArrivalsReport {
  /** Here now, and how many may be. */
  readonly open: number
  readonly max: number
  /** Since the card's start: clients that the guest took, and did not, clients beyond the limit, bytes. */
  readonly counters: Readonly<Record<(typeof arrivalCounterNames)[number], number>>
}

export interface NetworkReport {
  /** Open now, and how many may be. */
  readonly flows: number
  readonly maxFlows: number
  /** Since the card's start: flows, questions, flows that were not connected, flows beyond the limit, bytes. */
  readonly counters: Readonly<Record<(typeof counterNames)[number], number>>
  readonly refused: number
  /** By destination, most frequent first. */
  readonly refusals: readonly NetworkRefusal[]
  readonly refusedByRule: readonly RefusedByRule[]
  /** Where ports are published. */
  readonly arrivals?: ArrivalsReport
}

/** @throws `ERR_NETWORK_CONTROL` */
export function parseReport(value: unknown): NetworkReport {
  const { flows, maxFlows, counters, refused, arrivals, ...lists } = fieldsOf(value)
  const refusals = list(lists['refusals'], MAX_REFUSALS)
  const refusedByRule = list(lists['refusedByRule'], MAX_RULES)
  return {
    flows: count(flows),
    maxFlows: count(maxFlows),
    counters: counts(counterNames, counters),
    refused: count(refused),
    refusals: refusals.map(parseRefusal),
    refusedByRule: refusedByRule.map(parseRefusedByRule),
    ...(arrivals !== undefined && arrivals !== null && { arrivals: parseArrivals(arrivals) }),
  }
}

function parseArrivals(value: unknown): ArrivalsReport {
  const { open, max, counters } = fieldsOf(value)
  return { open: count(open), max: count(max), counters: counts(arrivalCounterNames, counters) }
}

/** @throws `ERR_NETWORK_CONTROL` */
export function parseTurnedAway(value: unknown): TurnedAway {
  const { guestPort, protocol, why } = fieldsOf(value)
  const reason = turnedAwayReasons.find((known) => known === why)
  if (reason === undefined || (protocol !== 'tcp' && protocol !== 'udp')) throw malformed()
  return { guestPort: count(guestPort), protocol, why: reason }
}

function counts<Name extends string>(
  names: readonly Name[],
  counters: unknown,
): Readonly<Record<Name, number>> {
  const values = fieldsOf(counters)
  const entries = names.map((name) => [name, count(values[name])] as const)
  return Object.fromEntries(entries) as Record<Name, number>
}

/** @throws `ERR_NETWORK_CONTROL` */
export function parseRefusal(value: unknown): NetworkRefusal {
  const fields = fieldsOf(value)
  const { by, rule, wouldAllow } = fields
  if (by !== 'image' && by !== 'host') throw malformed()
  return {
    destination: text(fields['destination']),
    by,
    why: text(fields['why']),
    ...(rule !== undefined && { rule: text(rule) }),
    ...(wouldAllow !== undefined && { wouldAllow: text(wouldAllow) }),
    count: count(fields['count']),
  }
}

function parseRefusedByRule(value: unknown): RefusedByRule {
  const { by, rule, count: number } = fieldsOf(value)
  if (by !== 'image' && by !== 'host') throw malformed()
  return { by, rule: text(rule), count: count(number) }
}

function list(value: unknown, maxLength: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > maxLength) throw malformed()
  return value
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw malformed()
  return value as Readonly<Record<string, unknown>>
}

function count(value: unknown): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw malformed()
  return Number(value)
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value.length > MAX_TEXT_UNITS) throw malformed()
  return value
}

function malformed(): CloisterError {
  return new CloisterError('ERR_NETWORK_CONTROL', 'the network card sent a malformed report')
}
