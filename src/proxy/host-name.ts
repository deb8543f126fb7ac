// Names and addresses of servers as people write them, in the one form in which they can be compared.

import { isIP, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'

/** RFC 1035 section 2.3.4, as text with a dot at its end. */
const MAX_NAME_CHARACTERS = 254
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/

/**
 * A name in lower case and in ASCII (IDNA) without the dot at its end, or an address as it is shortest;
 * brackets around an IPv6 address are left out. Undefined for what is neither.
 */
export function normalizeHost(text: string): string | undefined {
  const [, bracketed] = /^\[(.*)\]$/.exec(text) ?? []
  if (isIP(bracketed ?? text) !== 0) return normalizeAddress(bracketed ?? text)
  if (bracketed !== undefined || text.length > MAX_NAME_CHARACTERS) return undefined
  const name = domainToASCII(text.replace(/\.$/, ''))
  return name.split('.').every((label) => LABEL.test(label)) ? name : undefined
}

/** The shortest form of an address; of one with a zone the zone stays. */
export function normalizeAddress(address: string): string {
  if (!isIPv6(address)) return address
  const [bare = '', zone] = address.split('%')
  const shortest = new URL(`http://[${bare}]`).hostname.slice(1, -1)
  return zone === undefined ? shortest : `${shortest}%${zone}`
}
