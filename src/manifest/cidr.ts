// Blocks of addresses as rules write them, in the one form in which they are measured.

import { isIPv4, isIPv6, SocketAddress } from 'node:net'

/** The block as `address/length`; undefined when it is not one, or has bits beyond its prefix. */
export function canonicalCidr(text: string): string | undefined {
  const [address = '', length, ...rest] = text.split('/')
  if (rest.length > 0 || address.includes('%')) return undefined
  const bytes = bytesOf(address)
  if (bytes === undefined || isMapped(bytes)) return undefined
  const width = bytes.length * 8
  if (length !== undefined && !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined
  const prefix = length === undefined ? width : Number(length)
  if (prefix > width || bytes.some((byte, index) => hasHostBits(byte, prefix - index * 8))) {
    return undefined
  }
  return `${shortest(address)}/${String(prefix)}`
}

/** Whether a byte has a bit behind the first `prefix` ones. */
function hasHostBits(byte: number, prefix: number): boolean {
  return (byte & (0xff >> Math.min(Math.max(prefix, 0), 8))) !== 0
}

function shortest(address: string): string {
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  return new SocketAddress({ address, family }).address
}

/** ::ffff:0:0/96 stands for IPv4 addresses, which have rules of their own. */
function isMapped(bytes: readonly number[]): boolean {
  return (
    bytes.length === 16 &&
    bytes.slice(0, 10).every((byte) => byte === 0) &&
    bytes[10] === 0xff &&
    bytes[11] === 0xff
  )
}

function bytesOf(address: string): readonly number[] | undefined {
  if (isIPv4(address)) return address.split('.').map(Number)
  if (!isIPv6(address)) return undefined
  // RFC 4291 section 2.2: at most one `::`, and the last four bytes may be an IPv4 address.
  const [head = '', tail] = address.split('::')
  const before = groupsOf(head)
  const after = groupsOf(tail ?? '')
  const zeros = Array<number>(16 - before.length - after.length).fill(0)
  return [...before, ...zeros, ...after]
}

function groupsOf(text: string): readonly number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
