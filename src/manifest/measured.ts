// What of a manifest goes into the image, and is measured into PCR2: all but where the image is built
// from, and what runs, which `/cloister.yaml` says anyway. One form for every way to write the same:
// neither comments nor the order of keys change a register.

import { DOCUMENT_BOUNDS, parseBoundedJson } from '../bounded-json.ts'
import { asList, asObject, asWhole, demand } from './decode.ts'
import { decodeEgress } from './decode-egress.ts'
import { canonicalEgress, type EgressPolicy } from './egress.ts'
import { canonicalIngress, decodeIngress, type IngressPorts } from './ingress.ts'
import { canonicalTls, decodeTls, type TlsPort } from './tls-ports.ts'
import type { DeclaredLines, ManifestText, RestartRule } from './manifest-text.ts'

/** A line may leave when it begins with one of these; `['']` lets every line leave. */
export type Prefixes = readonly string[]

export interface MeasuredManifest {
  readonly name: string
  readonly version: string
  readonly memoryMib?: number
  readonly cpus?: number
  readonly ports: readonly number[]
  readonly logs: { readonly stdout: Prefixes; readonly stderr: Prefixes }
  /** Absent: the enclave has no network. */
  readonly egress?: EgressPolicy
  /** Whether programs have the guest's HTTP API; never written as false. */
  readonly api?: boolean
  /** Where attested TLS is served; never written as empty. */
  readonly tls?: readonly TlsPort[]
  /** Ports that the host may publish; never written as empty. */
  readonly ingress?: IngressPorts
  /** Whether programs have a proxy to what `egress` allows; never written as false. */
  readonly proxy?: boolean
  readonly restart: RestartRule
}

const MIB_PER: Readonly<Record<string, number>> = { M: 1, G: 1024, T: 1024 * 1024 }
const MAX_MEMORY_MIB = 16 * 1024 * 1024
const MAX_CPUS = 64
const MAX_PORTS = 64
const MAX_PORT = 0xffff_fffe
const MAX_PREFIXES = 32
/** UTF-16 code units of 128 characters. */
const MAX_PREFIX_UNITS = 256

/** The part of a valid manifest that is measured, ports in ascending order. */
export function measuredPart(manifest: ManifestText): MeasuredManifest {
  const { name, version, resources = {}, ports = [], logs = {}, restart = 'no' } = manifest
  const { memory, cpus } = resources
  const { egress, api, tls = [], ingress = {}, proxy } = manifest
  return {
    ...{ name, version },
    ...(memory !== undefined && { memoryMib: memoryMib(memory) }),
    ...(cpus !== undefined && { cpus }),
    ports: ports.toSorted((a, b) => a - b),
    logs: { stdout: prefixes(logs.stdout), stderr: prefixes(logs.stderr) },
    ...(egress !== undefined && { egress: canonicalEgress(egress) }),
    ...(api === true && { api }),
    ...(tls.length > 0 && { tls: canonicalTls(tls) }),
    ...((ingress.ports ?? []).length > 0 && { ingress: canonicalIngress(ingress) }),
    ...(proxy === true && { proxy }),
    restart,
  }
}

function memoryMib(memory: number | string): number {
  if (typeof memory === 'number') return memory
  const [, digits = '', unit = 'M'] = /^(\d+)([MGT]?)$/.exec(memory) ?? []
  return Number(digits) * (MIB_PER[unit] ?? 1)
}

function prefixes(lines: DeclaredLines = []): Prefixes {
  return lines === 'all' ? [''] : [...new Set(lines)].toSorted()
}

/**
 * Reads the measured part out of the bytes of an image's `/cloister.yaml`; absent when the image was
 * built without a manifest. Hostile input.
 *
 * @throws `ERR_EIF_MANIFEST`
 */
export function decodeMeasured(bytes: Uint8Array): MeasuredManifest | undefined {
  const bounds = { ...DOCUMENT_BOUNDS, code: 'ERR_EIF_MANIFEST', name: '/cloister.yaml' } as const
  const file = asObject(parseBoundedJson(bytes, bounds), '/cloister.yaml')
  if (file['manifest'] === undefined) return undefined
  const manifest = asObject(file['manifest'], 'manifest')
  const { name, version, memoryMib, cpus, ports, logs, egress, api, ...more } = manifest
  const { tls, ingress, proxy, restart, ...others } = more
  const { stdout, stderr, ...otherStreams } = asObject(logs, 'logs')
  demand([...Object.keys(others), ...Object.keys(otherStreams)].length === 0, 'keys')
  demand(typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name), 'name')
  demand(
    typeof version === 'string' && /^[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}$/.test(version),
    'version',
  )
  demand(api === undefined || api === true, 'api')
  demand(proxy === undefined || (proxy === true && egress !== undefined), 'proxy')
  demand(restart === 'no' || restart === 'on-failure' || restart === 'always', 'restart')
  return {
    ...{ name, version },
    ...(memoryMib !== undefined && { memoryMib: asWhole(memoryMib, MAX_MEMORY_MIB, 'memoryMib') }),
    ...(cpus !== undefined && { cpus: asWhole(cpus, MAX_CPUS, 'cpus') }),
    ports: asList(ports, MAX_PORTS, 'ports').map((port) => asWhole(port, MAX_PORT, 'ports')),
    logs: { stdout: asPrefixes(stdout, 'stdout'), stderr: asPrefixes(stderr, 'stderr') },
    ...(egress !== undefined && { egress: decodeEgress(egress) }),
    ...(api !== undefined && { api }),
    ...(tls !== undefined && { tls: decodeTls(tls) }),
    ...(ingress !== undefined && { ingress: decodeIngress(ingress) }),
    ...(proxy !== undefined && { proxy }),
    restart,
  }
}

function asPrefixes(value: unknown, name: string): Prefixes {
  return asList(value, MAX_PREFIXES, name).map((prefix) => {
    demand(typeof prefix === 'string' && prefix.length <= MAX_PREFIX_UNITS, name)
    return prefix
  })
}
