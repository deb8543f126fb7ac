// A refusal as a line of the journal, for people, and back as data, for events.

import type { NetworkRefusal } from './report.ts'

const DENIES = {
  image: 'egress of the image denies',
  host: 'the rules of run-enclave --egress deny',
} as const

const LINE =
  /^the guest asked for (\S+), which (egress of the image denies|the rules of run-enclave --egress deny): ([^;]*)(?:; in allow, (\{.*\}) would allow it)?$/

/** What a journal keeps of a refusal. */
export interface RecordedRefusal extends Pick<
  NetworkRefusal,
  'destination' | 'by' | 'why' | 'wouldAllow'
> {
  /** Of the destination; `dns` for a name that was looked up. */
  readonly protocol: 'tcp' | 'udp' | 'dns'
}

/** What was refused, and what to do about it. */
export function describeNetworkRefusal(refusal: Omit<NetworkRefusal, 'count' | 'rule'>): string {
  const { destination, by, why, wouldAllow } = refusal
  const advice = wouldAllow === undefined ? '' : `; in allow, ${wouldAllow} would allow it`
  return `the guest asked for ${destination}, which ${DENIES[by]}: ${why}${advice}`
}

/** Undefined for another line. */
export function parseRefusalLine(line: string): RecordedRefusal | undefined {
  const [, destination, denies, why, wouldAllow] = LINE.exec(line) ?? []
  if (destination === undefined || why === undefined) return undefined
  const [, protocol = 'dns'] = /\/(tcp|udp)$/.exec(destination) ?? []
  return {
    destination,
    protocol: protocol as RecordedRefusal['protocol'],
    by: denies === DENIES.image ? 'image' : 'host',
    why,
    ...(wouldAllow !== undefined && { wouldAllow }),
  }
}
