// Enclaves as nitro-cli prints them, with a few keys of our own behind its keys.

import { join } from 'node:path'
import { vsockSocketPath, type EnclaveRecord, type Registry } from '../keeper/index.ts'

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

/** What describe-enclaves prints for one enclave. */
export function enclaveJson(record: EnclaveRecord, registry: Registry, metadata: boolean): Json {
  return {
    ...launchJson(record),
    State: record.state,
    Flags: record.debug ? 'DEBUG_MODE' : 'NONE',
    Measurements: { HashAlgorithm: 'Sha384 { ... }', ...record.measurements },
    ...(metadata ? metadataJson(record) : {}),
    ...(record.end === undefined ? runningJson(record, registry) : { End: endJson(record.end) }),
  }
}

function runningJson(record: EnclaveRecord, registry: Registry): Json {
  return {
    Accelerator: record.accelerator,
    Assurance: record.assurance,
    VsockSocket: vsockSocketPath(registry.directory(record.id)),
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
