// What `--publish` says, as docker's: `[address:]host-port:guest-port[/tcp|/udp]`.

import { isIP } from 'node:net'
import { CloisterError } from '../errors.ts'
import type { MeasuredManifest } from '../manifest/index.ts'

/** A port of the guest, and the address of the host where it is reached. */
export interface Publication {
  /** An IP address. */
  readonly address: string
  /** 0: chosen by the kernel. */
  readonly port: number
  readonly guestPort: number
  readonly protocol: 'tcp' | 'udp'
}

const LOOPBACK = '127.0.0.1'
const MAX_PORT = 65_535
/** The network card takes no more. */
const MAX_PUBLICATIONS = 64

/** @throws `ERR_NETWORK_PUBLISH` */
export function parsePublication(text: string): Publication {
  const [, bracketed, plain, host = '', guest = '', protocol = 'tcp'] =
    /^(?:(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? []
  const address = bracketed ?? plain ?? LOOPBACK
  const family = bracketed === undefined ? 4 : 6
  const [port, guestPort] = [Number(host), Number(guest)]
  const isValid =
    isIP(address) === family && port <= MAX_PORT && guestPort > 0 && guestPort <= MAX_PORT
  if (host !== '' && isValid)
    return { address, port, guestPort, protocol: protocol as Publication['protocol'] }
  throw new CloisterError(
    'ERR_NETWORK_PUBLISH',
    `${JSON.stringify(text)} is not a valid port to publish`,
    {
      details: { publication: text },
    },
  )
}

/** `127.0.0.1:8080/tcp` */
export function describePublication({ address, port, protocol }: Publication): string {
  const host = address.includes(':') ? `[${address}]` : address
  return `${host}:${String(port)}/${protocol}`
}

/**
 * Refuses two publications at one place, and too many.
 *
 * @throws `ERR_NETWORK_PUBLISH`
 */
export function checkPublications(publications: readonly Publication[]): readonly Publication[] {
  if (publications.length > MAX_PUBLICATIONS)
    throw invalid(`at most ${String(MAX_PUBLICATIONS)} ports can be published`)
  const places = publications.filter(({ port }) => port !== 0).map(describePublication)
  const twice = places.find((place, index) => places.indexOf(place) !== index)
  if (twice === undefined) return publications
  throw invalid(`${twice} is published twice`)
}

function invalid(message: string): CloisterError {
  return new CloisterError('ERR_NETWORK_PUBLISH', message)
}

/**
 * Refuses ports that the image does not declare; those with attested TLS are.
 *
 * @throws `ERR_NETWORK_UNDECLARED`
 */
export function checkDeclared(
  publications: readonly Publication[],
  manifest: Pick<MeasuredManifest, 'ingress' | 'tls'> | undefined,
): void {
  const { ingress, tls = [] } = manifest ?? {}
  const declared = new Set([
    ...(ingress?.ports ?? []).map(({ port, protocol = 'tcp' }) => `${String(port)}/${protocol}`),
    ...tls.map(({ port }) => `${String(port)}/tcp`),
  ])
  for (const { guestPort, protocol } of publications) {
    const name = `${String(guestPort)}/${protocol}`
    if (declared.has(name)) continue
    const list = declared.size === 0 ? 'none' : [...declared].join(', ')
    throw new CloisterError(
      'ERR_NETWORK_UNDECLARED',
      `the image does not declare port ${name} (it declares ${list})`,
      { details: { guestPort, protocol } },
    )
  }
}
