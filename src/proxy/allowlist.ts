// Which servers may be reached: vsock-proxy's allowlist. An entry allows a server with its port when it
// has the same host, or an address that the entry's host has too. It is checked for every connection.

import { CloisterError } from '../errors.ts'
import type { Resolver } from './resolver.ts'
import { describeServer, type Target } from './target.ts'

export interface AllowedServer {
  /** As `normalizeHost` has it. */
  readonly host: string
  readonly port: number
}

/**
 * The addresses at which a target may be reached, in the order in which they are tried.
 *
 * @param allowlist - Undefined: everything is allowed.
 * @throws `ERR_PROXY_RESOLVE`; `ERR_PROXY_DENIED` when none of its addresses is allowed.
 */
export async function allowedAddresses(
  target: Target,
  allowlist: readonly AllowedServer[] | undefined,
  resolver: Resolver,
): Promise<readonly string[]> {
  const samePort = allowlist?.filter(({ port }) => port === target.port)
  if (samePort?.length === 0) throw denied(target)
  const addresses = await resolver.resolve(target.host, target.family)
  if (samePort === undefined || samePort.some(({ host }) => host === target.host)) return addresses
  const allowed = new Set(await addressesOf(samePort, resolver))
  const both = addresses.filter((address) => allowed.has(address))
  if (both.length === 0) throw denied(target)
  return both
}

/** An entry whose name is not found allows nothing. */
async function addressesOf(
  servers: readonly AllowedServer[],
  resolver: Resolver,
): Promise<readonly string[]> {
  const found = await Promise.all(
    servers.map(({ host }) => resolver.resolve(host, 'any').catch(() => [])),
  )
  return found.flat()
}

function denied(target: Target): CloisterError {
  const server = describeServer(target)
  return new CloisterError('ERR_PROXY_DENIED', `the allowlist does not allow ${server}`, {
    details: { address: target.host, port: target.port },
    hint: `Add "- {address: ${JSON.stringify(target.host)}, port: ${String(target.port)}}" to allowlist in the file given with --config, if enclaves may reach this server.`,
  })
}
