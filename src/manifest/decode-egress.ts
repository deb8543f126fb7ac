// Reads the rules in an image's manifest, which must be in their one form. Hostile input.

import { isDeepStrictEqual } from 'node:util'
import { asList, asObject, asWhole, demand } from './decode.ts'
import { canonicalCidr } from './cidr.ts'
import { canonicalEgress, isHostPattern, isPortRange } from './egress.ts'
import type { EgressPolicy, EgressRule, PortRange } from './egress.ts'

const MAX_RULES = 256
const MAX_RANGES = 64
const MAX_PORT = 65_535

/** @throws `ERR_EIF_MANIFEST` */
export function decodeEgress(value: unknown): EgressPolicy {
  const { allow, deny, ...others } = asObject(value, 'egress')
  demand(Object.keys(others).length === 0, 'egress')
  const policy = { allow: asRules(allow, 'egress.allow'), deny: asRules(deny, 'egress.deny') }
  demand(
    policy.deny.every((rule) => rule.private === undefined),
    'egress.deny',
  )
  demand(isDeepStrictEqual(canonicalEgress(policy), policy), 'egress')
  return policy
}

function asRules(value: unknown, name: string): readonly EgressRule[] {
  return asList(value, MAX_RULES, name).map((rule) => asRule(rule, name))
}

function asRule(value: unknown, name: string): EgressRule {
  const { host, cidr, ports, protocol, private: isPrivate, ...others } = asObject(value, name)
  demand(Object.keys(others).length === 0 && (host === undefined) !== (cidr === undefined), name)
  demand(host === undefined || (typeof host === 'string' && isHostPattern(host)), name)
  demand(cidr === undefined || (typeof cidr === 'string' && canonicalCidr(cidr) === cidr), name)
  demand(protocol === undefined || protocol === 'tcp' || protocol === 'udp', name)
  demand(isPrivate === undefined || isPrivate === true, name)
  return {
    ...(host !== undefined && { host }),
    ...(cidr !== undefined && { cidr }),
    ...(ports !== undefined && { ports: asPorts(ports, name) }),
    ...(protocol !== undefined && { protocol }),
    ...(isPrivate !== undefined && { private: isPrivate }),
  }
}

function asPorts(value: unknown, name: string): readonly PortRange[] {
  const ports = asList(value, MAX_RANGES, name)
  demand(ports.length > 0, name)
  return ports.map((port) => {
    demand(isPortRange(String(port)), name)
    return typeof port === 'string' ? port : asWhole(port, MAX_PORT, name)
  })
}
