// Which process has a socket of this host, to explain why a place is taken. Reads /proc: the sockets of TCP and UDP by
// their addresses (proc_net_tcp in proc(5)), and whose descriptors they are.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { isIP, isIPv6, SocketAddress } from 'node:net'

/** An address, or a name, and port of this host. */
export interface InternetPlace {
  readonly address: string
  readonly port: number
  readonly protocol: 'tcp' | 'udp'
}

/** TCP_LISTEN, and TCP_CLOSE of a UDP socket without a peer. */
const WAITING = { tcp: '0A', udp: '07' } as const
/** Of a process that keeps an enclave and what it publishes. */
export const KEEPER = 'the keeper of an enclave'
const WORD_BYTES = 4
const ANY: readonly string[] = ['0.0.0.0', '::']

/** `process 1234 (nginx)`, or `another program` where that cannot be seen. */
export function whoUsesPort(place: InternetPlace): string {
  const owners = inodesAt(place).map(ownerOfSocket)
  return owners.find((owner) => owner !== undefined) ?? 'another program'
}

/** `process 1234 (socat)`, where it can be seen: another user's cannot. */
export function ownerOfSocket(inode: string): string | undefined {
  const link = `socket:[${inode}]`
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const pid = pids.find((it) => linksOf(it).includes(link))
  // A program may call itself anything, with line breaks.
  return pid === undefined ? undefined : `process ${pid} (${nameOf(pid).replace(/\p{Cc}/gu, '?')})`
}

/** Of the sockets that are in the way of another one there. */
function inodesAt({ address, port, protocol }: InternetPlace): readonly string[] {
  const given = isIP(address) === 0 ? undefined : canonical(address)
  const isInTheWay = (other: string): boolean =>
    given === undefined || other === given || ANY.includes(other) || ANY.includes(given)
  return [protocol, `${protocol}6`].flatMap(linesOf).flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
    const [words = '', hexPort = ''] = local.split(':')
    const isTaken = state === WAITING[protocol] && Number.parseInt(hexPort, 16) === port
    return isTaken && isInTheWay(addressOf(words)) ? [inode] : []
  })
}

function linesOf(table: string): readonly string[] {
  // A host may have no IPv6.
  const text = unlessGone(() => readFileSync(`/proc/net/${table}`, 'latin1')) ?? ''
  return text.split('\n').slice(1)
}

/** The kernel writes words of four bytes as it has them, with the last byte first. */
function addressOf(words: string): string {
  const bytes = Buffer.from(words, 'hex')
  for (let at = 0; at < bytes.length; at += WORD_BYTES)
    bytes.subarray(at, at + WORD_BYTES).reverse()
  if (bytes.length === WORD_BYTES) return bytes.join('.')
  return canonical(bytes.toString('hex').replace(/(....)(?!$)/g, '$1:'))
}

function canonical(address: string): string {
  const [plain = ''] = address.split('%')
  return new SocketAddress({ address: plain, family: isIPv6(plain) ? 'ipv6' : 'ipv4' }).address
}

function linksOf(pid: string): readonly string[] {
  const directory = `/proc/${pid}/fd`
  const names = unlessGone(() => readdirSync(directory)) ?? []
  // Descriptors come and go meanwhile: of this process, the one that lists them.
  return names.flatMap((fd) => unlessGone(() => readlinkSync(`${directory}/${fd}`)) ?? [])
}

/** What `ps` calls it; for a program that node runs, also which one. */
function nameOf(pid: string): string {
  const name = unlessGone(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim())
  if (name !== 'node') return name ?? 'gone meanwhile'
  const words = unlessGone(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')) ?? []
  const script = words.slice(1).find((word) => !word.startsWith('-')) ?? ''
  return script.endsWith('/keeper/main.js') ? KEEPER : `node ${script}`.trim()
}

/** Of what may have ended, or be another user's. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
