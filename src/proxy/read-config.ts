// The configuration file of vsock-proxy: AWS's allowlist, and beside it Cloister's targets, so that one
// process can proxy many. Keys that neither knows are ignored, as by AWS's vsock-proxy, and named.

import { existsSync } from 'node:fs'
import { CloisterError, messageOf } from '../errors.ts'
import { readInputFile } from '../files/index.ts'
import { parseYaml } from '../yaml.ts'
import { reservedPorts } from '../vsock/index.ts'
import type { AllowedServer } from './allowlist.ts'
import { normalizeHost } from './host-name.ts'
import type { AddressFamily, Target } from './target.ts'

export interface ProxyConfig {
  /** Undefined where the file has targets and no allowlist: then it is its targets. */
  readonly allowlist?: readonly AllowedServer[]
  readonly targets: readonly Target[]
  /** Keys that were ignored. */
  readonly unknown: readonly string[]
}

export interface TargetDefaults {
  readonly family: AddressFamily
  readonly maxConnections: number
}

const MAX_FILE_BYTES = 64 * 1024
const MAX_ENTRIES = 1024
const MAX_TARGETS = 64
/** A connection takes two descriptors of this process. */
export const MAX_CONNECTIONS = 4096
/** The one above is VMADDR_PORT_ANY of vsock(7). */
const MAX_VSOCK_PORT = 0xffff_fffe

const NO_FILE =
  'Create the file, or name another one with --config: allowlist: [{address: HOST, port: PORT}]'

type Fields = Readonly<Record<string, unknown>>

/** @throws `ERR_PROXY_CONFIG` */
export function readProxyConfig(path: string, defaults: TargetDefaults): ProxyConfig {
  const root = fieldsOf(readYaml(path), path)
  const { allowlist, targets, ...others } = root
  if (allowlist === undefined && targets === undefined)
    throw invalid(`${path} has neither allowlist nor targets`)
  return {
    ...(allowlist !== undefined && {
      allowlist: listOf(allowlist, `${path}: allowlist`).map((value, index) =>
        allowedServer(value, `${path}: allowlist[${String(index)}]`),
      ),
    }),
    targets: listOf(targets ?? [], `${path}: targets`, MAX_TARGETS).map((value, index) =>
      targetOf(value, `${path}: targets[${String(index)}]`, defaults),
    ),
    unknown: Object.keys(others),
  }
}

function readYaml(path: string): unknown {
  try {
    const bytes = readInputFile(path, { code: 'ERR_FILE_INPUT', maxBytes: MAX_FILE_BYTES })
    return parseYaml(bytes, path).value
  } catch (cause) {
    const isMissing = !existsSync(path)
    throw new CloisterError('ERR_PROXY_CONFIG', messageOf(cause), {
      ...{ cause, details: { path } },
      ...(isMissing && { hint: NO_FILE }),
    })
  }
}

/** AWS's program ignores other keys, too. */
function allowedServer(value: unknown, where: string): AllowedServer {
  const { address, port, ...others } = fieldsOf(value, where)
  const [misspelt] = Object.keys(others)
  if (address === undefined || port === undefined) {
    const missing = `${where} has no ${address === undefined ? 'address' : 'port'}`
    throw invalid(missing + (misspelt === undefined ? '' : `; ${misspelt} is an unknown key`))
  }
  return { host: hostOf(address, where), port: tcpPortOf(port, where) }
}

function targetOf(value: unknown, where: string, defaults: TargetDefaults): Target {
  const { local_port, address, port, ip, num_workers, ...others } = fieldsOf(value, where)
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw invalid(`${where} has the unknown key ${unknown}`)
  return {
    localPort: checkLocalPort(numberOf(local_port, `${where}.local_port`, 1, MAX_VSOCK_PORT)),
    host: hostOf(address, where),
    port: tcpPortOf(port, where),
    family: ip === undefined ? defaults.family : familyOf(ip, where),
    maxConnections:
      num_workers === undefined
        ? defaults.maxConnections
        : numberOf(num_workers, `${where}.num_workers`, 1, MAX_CONNECTIONS),
  }
}

/** @throws `ERR_PROXY_CONFIG` for a port that Cloister itself serves. */
export function checkLocalPort(port: number): number {
  if (!Object.values<number>(reservedPorts).includes(port)) return port
  throw invalid(`port ${String(port)} of the parent is reserved`, {
    hint: 'Choose another local port: 9000 to 9003 are served by Cloister itself.',
  })
}

/** @throws `ERR_PROXY_CONFIG` when two of them have one local port, or there are none or too many. */
export function checkTargets(targets: readonly Target[]): readonly Target[] {
  if (targets.length === 0)
    throw invalid('there is nothing to proxy', {
      hint: 'Give local_port, remote_addr and remote_port, or list targets in the file given with --config.',
    })
  if (targets.length > MAX_TARGETS)
    throw invalid(`${String(targets.length)} targets are more than ${String(MAX_TARGETS)}`)
  const ports = targets.map(({ localPort }) => localPort)
  const twice = ports.find((port, index) => ports.indexOf(port) !== index)
  if (twice === undefined) return targets
  throw invalid(`two targets have the local port ${String(twice)}`, {
    hint: 'Give each target a port of its own.',
  })
}

function familyOf(value: unknown, where: string): AddressFamily {
  if (value === 4) return 'ipv4'
  if (value === 6) return 'ipv6'
  throw invalid(`${where}.ip is neither 4 nor 6`)
}

function hostOf(value: unknown, where: string): string {
  const host = typeof value === 'string' ? normalizeHost(value) : undefined
  if (host !== undefined) return host
  throw invalid(`${where}.address is not a host name or an IP address`, { details: { value } })
}

function tcpPortOf(value: unknown, where: string): number {
  return numberOf(value, `${where}.port`, 1, 0xffff)
}

function numberOf(value: unknown, where: string, min: number, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max)
    return value as number
  throw invalid(`${where} is not a whole number from ${String(min)} to ${String(max)}`)
}

function listOf(value: unknown, where: string, max = MAX_ENTRIES): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(`${where} is not a list`)
  if (value.length <= max) return value
  throw invalid(`${where} has more than ${String(max)} entries`)
}

function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw invalid(`${where} is not a mapping`)
}

function invalid(
  message: string,
  options: { readonly hint?: string; readonly details?: Fields } = {},
): CloisterError {
  return new CloisterError('ERR_PROXY_CONFIG', message, options)
}
