// IP addresses and CIDR ranges of the operators IpAddress and NotIpAddress: RFC 4632 for IPv4,
// RFC 4291 section 2.2 for IPv6. Left out: zone indices.

/** The bits of an address, most significant first: 32 or 128 of them. */
interface Address {
  readonly bits: 32 | 128
  readonly value: bigint
}

/** Whether an address is in a range; false when either of them is malformed or of the other family. */
export function isInRange(address: string, range: string): boolean {
  const [base = '', length] = range.split('/')
  const [from, actual] = [parseAddress(base), parseAddress(address)]
  if (!from || !actual || from.bits !== actual.bits) return false
  const shift = BigInt(from.bits - (length === undefined ? from.bits : Number(length)))
  return actual.value >> shift === from.value >> shift
}

/** Whether a text is an address, or an address with a prefix length. */
export function isRange(text: string): boolean {
  const [base = '', length, ...rest] = text.split('/')
  const address = parseAddress(base)
  if (!address || rest.length > 0) return false
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= address.bits)
}

function parseAddress(text: string): Address | null {
  return text.includes(':') ? parseV6(text) : parseV4(text)
}

function parseV4(text: string): Address | null {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return null
  const bytes = parts.map(Number)
  if (bytes.some((byte) => byte > 255)) return null
  return { bits: 32, value: join(bytes, 8n) }
}

function parseV6(text: string): Address | null {
  const [head = '', tail, ...rest] = text.split('::')
  if (rest.length > 0) return null
  const [first, last] = [groupsOf(head), tail === undefined ? [] : groupsOf(tail)]
  if (!first || !last) return null
  const missing = 8 - first.length - last.length
  if (tail === undefined ? missing !== 0 : missing < 1) return null
  const groups = [...first, ...new Array<number>(missing).fill(0), ...last]
  return { bits: 128, value: join(groups, 16n) }
}

/** 16-bit groups; a trailing IPv4 address is two of them. */
function groupsOf(text: string): readonly number[] | null {
  if (text === '') return []
  const parts = text.split(':')
  const v4 = parts.at(-1)?.includes('.') === true ? parseV4(parts.pop() ?? '') : undefined
  if (v4 === null || !parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return null
  const low = v4 ? [Number(v4.value >> 16n), Number(v4.value & 0xffffn)] : []
  return [...parts.map((part) => Number.parseInt(part, 16)), ...low]
}

function join(parts: readonly number[], width: bigint): bigint {
  return parts.reduce((value, part) => (value << width) | BigInt(part), 0n)
}
