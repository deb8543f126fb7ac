// What an enclave may reach: the rules of `egress` as a person writes them, and in the one form in which they are
// measured and in which cards/egress-policy reads them.

import { canonicalCidr } from './cidr.ts'

/** A port, or `first-last`. */
export type PortRange = number | string

export interface EgressRule {
  readonly host?: string
  readonly cidr?: string
  /** Absent: all. */
  readonly ports?: readonly PortRange[]
  /** Absent: both. */
  readonly protocol?: 'tcp' | 'udp'
  /** Whether it allows addresses that are not public; never written as false in the measured form. */
  readonly private?: boolean
}

export interface EgressText {
  readonly allow?: readonly EgressRule[]
  readonly deny?: readonly EgressRule[]
}

/** Both lists in the order in which they were written: reports name rules by their place. */
export interface EgressPolicy {
  readonly allow: readonly EgressRule[]
  readonly deny: readonly EgressRule[]
}

/** The measured form of valid rules. */
export function canonicalEgress({ allow = [], deny = [] }: EgressText): EgressPolicy {
  return { allow: allow.map(canonicalRule), deny: deny.map(canonicalRule) }
}

function canonicalRule(rule: EgressRule): EgressRule {
  const { host, cidr, ports, protocol } = rule
  return {
    ...(host !== undefined && { host: host.toLowerCase() }),
    ...(cidr !== undefined && { cidr: canonicalCidr(cidr) ?? cidr }),
    ...(ports !== undefined && { ports: canonicalPorts(ports) }),
    ...(protocol !== undefined && { protocol }),
    ...(rule.private === true && { private: true }),
  }
}

/** Sorted, and merged where ranges touch. */
function canonicalPorts(ports: readonly PortRange[]): readonly PortRange[] {
  const merged: [first: number, last: number][] = []
  for (const [first, last] of ports.map(rangeOf).toSorted(([a], [b]) => a - b)) {
    const before = merged.at(-1)
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else merged.push([first, last])
  }
  return merged.map(([first, last]) =>
    first === last ? first : `${String(first)}-${String(last)}`,
  )
}

function rangeOf(ports: PortRange): readonly [first: number, last: number] {
  if (typeof ports === 'number') return [ports, ports]
  const [first = 0, last = first] = ports.split('-').map(Number)
  return [first, last]
}

/** Whether a text is `first-last` or a port; the schema's format `port-range`. */
export function isPortRange(text: string): boolean {
  if (!/^[1-9]\d{0,4}(-[1-9]\d{0,4})?$/.test(text)) return false
  const [first, last] = rangeOf(text)
  return first <= last && last <= 65_535
}

/** Whether a text is a host name or a pattern of one; the schema's format `host-pattern`. */
export function isHostPattern(text: string): boolean {
  const labels = text.toLowerCase().split('.')
  const isLabel = (label: string, index: number): boolean =>
    /^[a-z0-9_-]{1,63}$/.test(label) || label === '*' || (label === '**' && index === 0)
  return text.length <= 253 && labels.every(isLabel) && !/^\d*$/.test(labels.at(-1) ?? '')
}
