// A set of vsock ports, written as people and the vsock card write it: `all`, `none` or a list such
// as `8000,9100-9110` (cards/vsock/src/policy.rs). A set is sorted ranges that neither touch nor
// overlap, so equal sets have the same text.

import { CloisterError } from '../errors.ts'

/** Both ends belong to it. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

export type PortSet = readonly PortRange[]

/** VMADDR_PORT_ANY of vsock(7) is the last one; nobody listens there. */
const MAX_PORT = 0xffffffff
/** The card takes no more. */
const MAX_RANGES = 256

/** @throws `ERR_VSOCK_PORTS` */
export function parsePortSet(text: string): PortSet {
  if (text === 'all') return [{ first: 0, last: MAX_PORT }]
  if (text === 'none') return []
  const items = text.split(',')
  if (items.length > MAX_RANGES) throw tooMany(items.length)
  return merge(items.map((item) => parseRange(item, text)))
}

/** What {@link parsePortSet} reads as the same set. */
export function formatPortSet(set: PortSet): string {
  if (set.length === 0) return 'none'
  if (set[0]?.first === 0 && set[0].last === MAX_PORT) return 'all'
  return set.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',')
}

/** @throws `ERR_VSOCK_PORTS` when the set falls into too many ranges. */
export function addPorts(set: PortSet, added: PortSet): PortSet {
  return bounded(merge([...set, ...added]))
}

/** @throws `ERR_VSOCK_PORTS` when the set falls into too many ranges. */
export function removePorts(set: PortSet, removed: PortSet): PortSet {
  return bounded(removed.reduce(without, set))
}

function without(set: PortSet, { first, last }: PortRange): PortSet {
  return set.flatMap((range) => [
    ...(range.first < first ? [{ first: range.first, last: Math.min(range.last, first - 1) }] : []),
    ...(range.last > last ? [{ first: Math.max(range.first, last + 1), last: range.last }] : []),
  ])
}

function merge(ranges: readonly PortRange[]): PortSet {
  const merged: PortRange[] = []
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const previous = merged.at(-1)
    if (previous === undefined || range.first > previous.last + 1) merged.push(range)
    else merged.splice(-1, 1, { ...previous, last: Math.max(previous.last, range.last) })
  }
  return merged
}

function parseRange(item: string, text: string): PortRange {
  const [, from = '', to = from] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(item) ?? []
  const range = { first: Number(from), last: Number(to) }
  if (from !== '' && range.first <= range.last && range.last <= MAX_PORT) return range
  throw new CloisterError('ERR_VSOCK_PORTS', `${JSON.stringify(text)} is not a valid port list`, {
    details: { ports: text },
  })
}

function bounded(set: PortSet): PortSet {
  if (set.length <= MAX_RANGES) return set
  throw tooMany(set.length)
}

function tooMany(ranges: number): CloisterError {
  return new CloisterError(
    'ERR_VSOCK_PORTS',
    `a port list has ${String(ranges)} ranges; at most ${String(MAX_RANGES)} are allowed`,
    { details: { ranges, maxRanges: MAX_RANGES } },
  )
}
