// Whom the network card asks for names: the host's own resolvers, or those that the operator names.

import { readFileSync } from 'node:fs'
import { isIP, isIPv6 } from 'node:net'

export const RESOLV_CONF = '/etc/resolv.conf'
/** As many as glibc asks (resolv.conf(5)). */
const MAX_RESOLVERS = 3
const DNS_PORT = 53

/** The `nameserver` lines of the host, as `address:port`; none where the file is not there. */
export function systemResolvers(path: string = RESOLV_CONF): readonly string[] {
  return readLines(path)
    .flatMap((line) => /^nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .flatMap((address) => parseResolver(address) ?? [])
    .slice(0, MAX_RESOLVERS)
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    return []
  }
}

/** `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT` as `address:port`; an address with a zone is not one. */
export function parseResolver(text: string): string | undefined {
  const bare = isIP(text) === 0 ? undefined : text
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? []
  const address = bare ?? bracketed ?? plain ?? ''
  const number = Number(port ?? DNS_PORT)
  const isRight = isIP(address) !== 0 && !address.includes('%') && number > 0 && number <= 65_535
  if (!isRight || (bracketed !== undefined && !isIPv6(address))) return undefined
  return isIPv6(address) ? `[${address}]:${String(number)}` : `${address}:${String(number)}`
}
