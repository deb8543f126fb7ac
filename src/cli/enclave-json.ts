// Enclaves as nitro-cli prints them, with a few keys of our own behind its keys.

import { join } from 'node:path'
import {
  isAlive,
  journalPath,
  processesOf,
  vsockSocketPath,
  type AliveRecord,
  type EnclaveEnd,
  type EnclaveRecord,
  type EnclaveReport,
  type GroupFacts,
  type LaunchFacts,
  limitsOf,
  type LimitFacts,
  type Registry,
} from '../enclaves/index.ts'
import type { EifMetadata } from '../eif/index.ts'
import { describePublication, type Publication } from '../network/index.ts'
import { metadataJson } from './metadata-json.ts'
import { networkJson, vsockJson } from './vsock-report.ts'

type Json = Readonly<Record<string, unknown>>

/** What run-enclave prints. */
export function launchJson(record: EnclaveRecord): Json {
  const { id, keeper, description } = record
  return {
    EnclaveName: description.name,
    EnclaveID: id,
    ProcessID: keeper.pid,
    EnclaveCID: description.cid,
    NumberOfCPUs: description.cpuCount,
    CPUIDs: description.cpuIds,
    MemoryMiB: description.memoryMib,
    ...('published' in record && { Published: record.published.map(publishedJson) }),
  }
}

/** Where a port of the guest is reached. */
function publishedJson(publication: Publication): Json {
  const { protocol, guestPort } = publication
  const [HostAddress] = describePublication(publication).split('/')
  return { HostAddress, GuestPort: guestPort, Protocol: protocol }
}

export interface DescribeContext {
  readonly registry: Registry
  readonly metadata: boolean
  /** Absent when it was not to be had. */
  readonly vsock: EnclaveReport | undefined
}

/** What describe-enclaves prints for one enclave. */
export function enclaveJson(record: EnclaveRecord, context: DescribeContext): Json {
  return {
    ...launchJson(record),
    State: record.state,
    Flags: record.description.debug ? 'DEBUG_MODE' : 'NONE',
    ...measurementsOf(record),
    ...configJson(record.description),
    ...restartJson(record),
    ...(context.metadata ? imageJson(imageOf(record)) : {}),
    Journal: journalPath(context.registry.directory(record.id)),
    ...(isAlive(record) ? aliveJson(record, context) : { End: endJson(record.end) }),
  }
}

/** What --config-data gave it, where it did. */
function configJson({ configData }: EnclaveRecord['description']): Json {
  if (configData === undefined) return {}
  const { pcr16, bytes, names } = configData
  return { ConfigData: { PCR16: pcr16, Bytes: bytes, ...(names && { Files: names }) } }
}

/** Where it has a restart rule; times and the id before only where it was restarted. */
function restartJson({ description, restart }: EnclaveRecord): Json {
  if (description.restart === undefined) return {}
  const { count = 0, previous, notBefore } = restart ?? {}
  const since = restart === undefined ? {} : { Previous: previous, NotBefore: notBefore }
  return { Restart: { Rule: description.restart, Count: count, ...since } }
}

function aliveJson(record: AliveRecord, { registry, vsock }: DescribeContext): Json {
  return {
    Accelerator: record.description.accelerator,
    ...(record.description.hugePages === true && { HugePages: true }),
    ...limitsJson(limitsOf(record)),
    Assurance: record.state === 'STARTING' ? '' : record.assurance,
    ...(record.description.vsock !== 'card' && { VsockKind: record.description.vsock }),
    VsockSocket: vsockSocketPath(registry.directory(record.id)),
    Vsock: vsock === undefined ? null : vsockJson(vsock),
    ...(vsock?.network !== undefined && { Network: networkJson(vsock.network) }),
    Processes: Object.fromEntries(processesOf(record).map(({ name, pid }) => [name, pid])),
  }
}

/** Not known until it has started. */
function limitsJson(limits: LimitFacts | undefined): Json {
  if (limits === undefined) return {}
  if ('missing' in limits) return { Limits: { Missing: limits.missing } }
  const { version, qemu, others } = limits
  return { Limits: { CgroupVersion: version, QEMU: groupJson(qemu), Others: groupJson(others) } }
}

function groupJson({ memoryBytes, cpus, processes, directories }: GroupFacts): Json {
  const MemoryMiB = Math.ceil(memoryBytes / 2 ** 20)
  return { MemoryMiB, CPUs: cpus, Processes: processes, Cgroups: directories }
}

/** Not known of an enclave that still starts, or that ended before it ran. */
function imageOf(record: EnclaveRecord): LaunchFacts['image'] | undefined {
  return 'image' in record ? record.image : undefined
}

/** What documents carry: in debug mode zeros, and the image's own values under a key of their own. */
function measurementsOf(record: EnclaveRecord): Json {
  const measurements = imageOf(record)?.measurements
  const shown = (values: typeof measurements): Json => ({
    HashAlgorithm: 'Sha384 { ... }',
    ...values,
  })
  if (!record.description.debug || measurements === undefined)
    return { Measurements: shown(measurements) }
  const zeros = Object.fromEntries(['PCR0', 'PCR1', 'PCR2'].map((pcr) => [pcr, '0'.repeat(96)]))
  return {
    Measurements: shown({ ...measurements, ...zeros }),
    ImageMeasurements: shown(measurements),
  }
}

/** The metadata are null where the record has none: an enclave that starts, or far too many of them. */
function imageJson(image: LaunchFacts['image'] | undefined): Json {
  const metadata = image?.metadata as EifMetadata | null | undefined
  return {
    ImageName: image?.name ?? '',
    ImageVersion: image?.version ?? '',
    Metadata: metadata ? metadataJson(metadata) : null,
  }
}

function endJson(end: EnclaveEnd): Json {
  return {
    First: end.first,
    Reason: end.reason,
    ...(end.exitCode === undefined ? {} : { ExitCode: end.exitCode }),
    ...(end.signal === undefined ? {} : { Signal: end.signal }),
    ...(end.outOfMemory === undefined ? {} : { OutOfMemory: end.outOfMemory }),
    At: end.at,
    LivedMs: end.livedMs,
    ...(end.ranMs === undefined ? {} : { RanMs: end.ranMs }),
    ...(end.peakMemoryBytes === undefined
      ? {}
      : { PeakMemoryMiB: Math.ceil(end.peakMemoryBytes / 2 ** 20) }),
  }
}

/** Where the development authority's certificate lies. */
export function developmentRootPath(stateDirectory: string): string {
  return join(stateDirectory, 'authority', 'root.pem')
}
