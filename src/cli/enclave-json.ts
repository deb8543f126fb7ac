// Enclaves as nitro-cli prints them, with a few keys of our own behind its keys.

import { join } from 'node:path'
import {
  journalPath,
  vsockSocketPath,
  type EnclaveRecord,
  type Registry,
} from '../enclaves/index.ts'
import type { VsockReport } from '../vsock/index.ts'
import { vsockJson } from './vsock-report.ts'

type Json = Readonly<Record<string, unknown>>

/** What run-enclave prints. */
export function launchJson(record: EnclaveRecord): Json {
  return {
    EnclaveName: record.name,
    EnclaveID: record.id,
    ProcessID: record.keeper.pid,
    EnclaveCID: record.cid,
    NumberOfCPUs: record.cpuCount,
    CPUIDs: record.cpuIds,
    MemoryMiB: record.memoryMib,
  }
}

export interface DescribeContext {
  readonly registry: Registry
  readonly metadata: boolean
  /** Absent when it was not to be had. */
  readonly vsock: VsockReport | undefined
}

/** What describe-enclaves prints for one enclave. */
export function enclaveJson(record: EnclaveRecord, context: DescribeContext): Json {
  return {
    ...launchJson(record),
    State: record.state,
    Flags: record.debug ? 'DEBUG_MODE' : 'NONE',
    Measurements: { HashAlgorithm: 'Sha384 { ... }', ...record.measurements },
    ...(context.metadata ? metadataJson(record) : {}),
    Journal: journalPath(context.registry.directory(record.id)),
    ...(record.end === undefined ? runningJson(record, context) : { End: endJson(record.end) }),
  }
}

function runningJson(record: EnclaveRecord, { registry, vsock }: DescribeContext): Json {
  return {
    Accelerator: record.accelerator,
    Assurance: record.assurance,
    VsockSocket: vsockSocketPath(registry.directory(record.id)),
    Vsock: vsock === undefined ? null : vsockJson(vsock),
    Processes: Object.fromEntries(record.processes.map(({ name, pid }) => [name, pid])),
  }
}

function metadataJson(record: EnclaveRecord): Json {
  return {
    ImageName: record.imageName,
    ImageVersion: record.imageVersion,
    Metadata: record.metadata,
  }
}

function endJson(end: NonNullable<EnclaveRecord['end']>): Json {
  return {
    First: end.first,
    Reason: end.reason,
    ...(end.exitCode === undefined ? {} : { ExitCode: end.exitCode }),
    ...(end.signal === undefined ? {} : { Signal: end.signal }),
    At: end.at,
    LivedMs: end.livedMs,
  }
}

/** Where the development authority's certificate lies. */
export function developmentRootPath(stateDirectory: string): string {
  return join(stateDirectory, 'authority', 'root.pem')
}
